/** POSIX.1-1988 ustar: where a header has its checksum. */
const FROM = 148;
const TO = 156;
const BLOCK_BYTES = 512;

/** Whether `said` is the sum of all bytes of a header but its own, which count as blanks. Old writers took bytes for signed numbers. */
export function checksumHolds(block: Buffer, said: number): boolean {
  let [unsigned, signed] = [(TO - FROM) * 0x20, (TO - FROM) * 0x20];
  for (let at = 0; at < BLOCK_BYTES; at++) {
    if (at >= FROM && at < TO) continue;
    const byte = block[at] as number;
    unsigned += byte;
    signed += byte < 0x80 ? byte : byte - 0x100;
  }
  return said === unsigned || said === signed;
}
