/**
 * Text as one YAML document. It takes less than YAML has: keys that are text, the core schema of YAML 1.2 whatever a
 * directive says, no merge keys, no depth to speak of. What a move file means it does not know.
 */
import { type Located, Locator, STAR_HINT } from './located.ts';
import { asClause, type Place, type Problem, problemAt } from './problems.ts';
import { type CST, type Document, loadYaml, type ParsedNode } from './yaml.ts';

/** A move file has three levels, and each takes the parser up to three places of its stack. */
const STACK_MAX = 40;
/** Ten thousand images, a line each, are 60,000; each costs the parser up to 2 kB of memory where it is wrong. */
const LEXEMES_MAX = 100_000;
const LEXEME_MAX_CHARACTERS = 65_536;

/**
 * Of a text that is not YAML the problems are those of its form; a value can be judged only in a good one. There is no
 * root in a file of nothing but comments, and in what is not YAML. `what` is the file in what people read.
 */
export async function parseYaml(
  text: string,
  what = 'move file',
): Promise<{ root?: Located | undefined; problems: readonly Problem[] }> {
  const yaml = await loadYaml();
  const lines = new yaml.LineCounter();
  const placeOf = (offset: number): Place => {
    const { line, col } = lines.linePos(offset);
    return { line: Math.max(1, line), column: Math.max(1, col) };
  };
  const parser = new yaml.Parser(lines.addNewLine);
  function* tokens(): Generator<CST.Token, void> {
    lines.addNewLine(0);
    let lexemes = 0;
    for (const lexeme of new yaml.Lexer().lex(text)) {
      if (lexeme.length > LEXEME_MAX_CHARACTERS || ++lexemes > LEXEMES_MAX)
        throw new TooMuch(
          `there is more here than in any ${what}${what === 'move file' ? '; thousands of images go into a list, see file' : ''}`,
        );
      yield* parser.next(lexeme);
      // What nests without end would exhaust the stack of all that follows, and end the process.
      if (parser.stack.length > STACK_MAX) throw new TooMuch(`nested deeper than anything in a ${what}`);
    }
    yield* parser.end();
  }
  const composer = new yaml.Composer<ParsedNode>({
    schema: 'core',
    merge: false,
    resolveKnownTags: false,
    stringKeys: true,
    // The locator does it in less than the square of their number.
    uniqueKeys: false,
    prettyErrors: false,
  });

  const documents: Document.Parsed<ParsedNode>[] = [];
  try {
    for (const document of composer.compose(tokens(), true, text.length))
      if (documents.push(document) === 2) break;
  } catch (error) {
    if (!(error instanceof TooMuch)) throw error;
    return { problems: [problemAt(placeOf(parser.offset), error.message)] };
  }
  const [document, second] = documents;
  const faults = [...(document?.errors ?? []), ...(document?.warnings ?? [])];
  const problems = faults.map(({ pos, code, message }) => {
    const hint = code === 'BAD_ALIAS' ? `; ${STAR_HINT}` : '';
    return problemAt(placeOf(pos[0]), `not valid YAML: ${asClause(message)}${hint}`);
  });
  if (second)
    problems.push(problemAt(placeOf(second.range[0]), `a second document begins: a ${what} is one`));
  if (problems.length > 0 || !document?.contents) return { problems };
  const locator = new Locator(yaml, placeOf);
  return { root: locator.locate(document.contents, 0), problems: locator.problems };
}

/** Thrown out of the parser, whose work on what is left would be for nothing. */
class TooMuch extends Error {}
