/** What shells run when somebody presses Tab: each asks `imgmv __complete`, and shows what it answers. */
export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** `web:1.0` is three words for bash, and completed in the last of them. Candidates are whole. */
const BASH = `# imgmv completion bash
_imgmv() {
  local line=\${COMP_LINE:0:COMP_POINT} words word cut answer adds candidate
  read -ra words <<< "$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  word=\${words[-1]}
  cut=\${word%"\${word##*[:=]}"}
  mapfile -t answer < <("\${words[0]}" __complete "\${words[@]:1}" 2> /dev/null)
  COMPREPLY=()
  [[ \${#answer[@]} -eq 0 ]] && return
  adds=\${answer[-1]#:}
  unset 'answer[-1]'
  for candidate in "\${answer[@]}"; do
    candidate=\${candidate%%$'\\t'*}
    COMPREPLY+=("\${candidate#"$cut"}")
  done
  (( adds & 2 )) && compopt -o nospace
  if (( ! (adds & 4) )); then
    compopt -o filenames
    mapfile -t -O \${#COMPREPLY[@]} COMPREPLY < <(compgen -f -- "\${word##*[:=]}")
  fi
}
complete -F _imgmv imgmv
`;

const ZSH = `#compdef imgmv
_imgmv() {
  local -a answer texts shown
  local adds line
  answer=("\${(@f)$("\${words[1]}" __complete "\${(@)words[2,CURRENT]}" 2> /dev/null)}")
  adds=\${answer[-1]#:}
  for line in "\${(@)answer[1,-2]}"; do
    texts+=("\${line%%$'\\t'*}")
    shown+=("\${line/$'\\t'/  -- }")
  done
  if (( \${#texts} )); then
    if (( adds & 2 )); then
      compadd -S '' -l -d shown -a texts
    else
      compadd -l -d shown -a texts
    fi
  fi
  if (( ! (adds & 4) )); then
    compset -P '*[:=]'
    _files
  fi
}
if [[ \${funcstack[1]} == _imgmv ]]; then _imgmv "$@"; else compdef _imgmv imgmv; fi
`;

const FISH = `# imgmv completion fish
function __imgmv_complete
    set -l words (commandline -opc)
    set -l answer ($words[1] __complete $words[2..] (commandline -ct) 2>/dev/null)
    test (count $answer) -gt 0; or return
    set -l adds (string sub -s 2 -- $answer[-1])
    string join \\n -- $answer[1..-2]
    if test (math "bitand($adds, 4)") -eq 0
        set -l word (commandline -ct)
        set -l kind (string match -r '^.*[:=]' -- $word)
        __fish_complete_path (string replace -- "$kind" '' $word) | string replace -r '^' -- "$kind"
    end
end
complete -c imgmv -f -a '(__imgmv_complete)'
`;

export const SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  bash: BASH,
  zsh: ZSH,
  fish: FISH,
};
