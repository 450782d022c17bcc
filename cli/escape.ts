/** Text from elsewhere as a terminal may show it: nothing in it acts, moves the cursor or hides. */

/**
 * Controls, line separators, and all that Unicode calls format: marks that change direction (TR9, "Trojan Source")
 * and characters that show nothing, with the whole of the plane that is kept for such.
 */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u{e0000}-\u{e0fff}]/gu;

/** The escapes are those of JSON: one for each code unit of UTF-16. */
export function escapeText(text: string): string {
  return text.replace(UNSAFE, (character) =>
    character
      .split('')
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
      .join(''),
  );
}
