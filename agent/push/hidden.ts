/** Takes secrets out of what an engine or a registry says: either may repeat what it was sent, in a form of its own. */

/** What is shorter is hidden as it is alone: its other forms would be found in any text. */
const ENCODED_MIN_CHARACTERS = 4;

/** `text` without the `secrets`, and without what they look like in JSON, in an address or in base64. */
export function hideSecrets(text: string, secrets: readonly string[]): string {
  const forms = [...new Set(secrets.flatMap(formsOf))].filter((form) => form !== '');
  if (forms.length === 0) return text;
  // The longest first: one may begin with another.
  const any = forms.sort((one, other) => other.length - one.length).map(literal);
  return text.replace(new RegExp(any.join('|'), 'g'), '[secret]');
}

function formsOf(secret: string): readonly string[] {
  if (secret.length < ENCODED_MIN_CHARACTERS) return [secret];
  const json = inJson(secret);
  // As Go's encoder writes what could be a tag in HTML.
  const goJson = json.replace(/[<>&]/g, (one) => `\\u00${hexOf(one)}`);
  // As Go's %q does, which has no \u for what is below a space.
  const goQuoted = json
    .replace(/\\u00([01].)/g, '\\x$1')
    .replace('\\x07', '\\a')
    .replace('\\x0b', '\\v');
  // A half of a surrogate pair, which stands for no character, is replaced as everywhere.
  const inAddress = encodeURIComponent(Buffer.from(secret).toString('utf8'));
  const goAddress = inAddress.replace(/[!'()*]/g, (one) => `%${hexOf(one).toUpperCase()}`);
  const addresses = [inAddress, goAddress].flatMap((one) => [one, one.replaceAll('%20', '+')]);
  return [
    secret,
    ...[json, goJson, goQuoted].flatMap((one) => [one, inJson(one)]),
    ...addresses.flatMap((one) => [one, one.replace(/%../g, (hex) => hex.toLowerCase())]),
    ...base64Of(secret),
  ];
}

function inJson(text: string): string {
  return JSON.stringify(text).slice(1, -1);
}

/** In both alphabets, with padding and without. */
function base64Of(text: string): readonly string[] {
  const bytes = Buffer.from(text);
  const padded = bytes.toString('base64');
  const url = padded.replaceAll('+', '-').replaceAll('/', '_');
  return [padded, url].flatMap((one) => [one, one.replace(/=+$/, '')]);
}

function hexOf(character: string): string {
  return character.charCodeAt(0).toString(16);
}

function literal(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
