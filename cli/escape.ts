/** Text from elsewhere as a terminal may show it: nothing in it acts, moves the cursor or hides. */

/** C0 and C1 controls, line separators, marks that change direction (Unicode TR9, "Trojan Source"), unseen tags. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding them is the point
  /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\u{e0000}-\u{e0fff}]/gu;

/** The escapes are those of JSON: one for each code unit of UTF-16. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
