// How does byte-level BPE spell any byte as a printable character?

// Bytes that are printable in Latin-1 stand for themselves, the others for U+0100, U+0101, … in order.
// Source: OpenAI's GPT-2, encoder.py, `bytes_to_unicode`.
const isPrintable = (byte: number): boolean =>
  (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff)

/** The character of each byte: string[256]. A space is "Ġ". */
export const byteCharacters: ReadonlyArray<string> = (() => {
  let next = 0x100
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(isPrintable(byte) ? byte : next++))
})()

const bytesOfCharacters = new Map(byteCharacters.map((character, byte) => [character, byte]))

/** The bytes that `spelling` stands for. A character outside the alphabet stands for its own UTF-8. */
export const bytesOfSpelling = (spelling: string): Uint8Array => {
  const bytes: Array<number> = []
  for (const character of spelling) {
    const byte = bytesOfCharacters.get(character)
    if (byte === undefined) bytes.push(...new TextEncoder().encode(character))
    else bytes.push(byte)
  }
  return Uint8Array.from(bytes)
}
