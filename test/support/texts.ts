// Which texts are hard to tokenize?

/** Named texts, each well-formed, each with its own difficulty. */
export const texts: Readonly<Record<string, string>> = {
  empty: "",
  "one space": " ",
  English: "The quick brown fox jumps over the lazy dog. And it came to pass, in those days, that he went out.",
  contractions: "I'm can't we'll they've she'd it's 'tis DON'T WE'LL I'M o'clock 's 'll 'LL ''s rock'n'roll ’s",
  code: 'export const f = (x: number[]) => {\n\treturn x.map((y) => y ** 2 + 1) // "ok"\n}\n\n\n#include <stdio.h>\r\n',
  numbers: "1 12 123 1234 12345 1234567890 3.14159 1,000,000 0x7f 1e-5 ١٢٣ ²³ Ⅷ ½ 2024-11-23T00:00:00Z",
  "white space runs": "a  b   c    d\n\n\ne\t\tf \n g \r\n\r\n h\u00a0i\u3000j\u2028k   ",
  "leading white space": "   indented\n    more\n",
  CJK: "我能吞下玻璃而不伤身体。私はガラスを食べられます。それは私を傷つけません。나는 유리를 먹을 수 있어요.",
  Cyrillic: "Я могу есть стекло, оно мне не вредит. ЁЖИК, съешь ещё этих мягких французских булок!",
  Arabic: "أنا قادر على أكل الزجاج و هذا لا يؤلمني. ١٢٣ ـــ",
  Hebrew: "אני יכול לאכול זכוכית וזה לא מזיק לי.",
  Thai: "ฉันกินกระจกได้ แต่มันไม่ทำให้ฉันเจ็บ",
  Devanagari: "मैं काँच खा सकता हूँ और मुझे उससे कोई चोट नहीं पहुंचती.",
  emoji: "👍👍🏽 👩‍👩‍👧‍👦 🏳️‍🌈 🇩🇪🇫🇷 ❤️ 1️⃣ 🤷🏻‍♂️",
  "combining marks": "e\u0301 a\u0308\u0304 o\u0302\u0323 Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢",
  "control characters": "a\u0000b\u0001c\u001bd\u007fe\u0080f\u009fg\u200bh\u200ei\u2060j",
  punctuation: "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ...!!! ??? —–‐ “” «» ¿¡ ¬ § ¶ ⟨⟩ === >>> <-> ///\n---\n***",
  "titlecase and special casing": "ǅ ǈ İ ı ſ ß ẞ ﬁ Ω K Å",
  "supplementary planes": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𐐀𐐨 𠀀𠀁 𒀀 🂡 \u{10ffff} \u{e0001}",
  "a long word": "pneumonoultramicroscopicsilicovolcanoconiosis".repeat(20),
  "a long run": "a".repeat(1000) + "!".repeat(300) + " ".repeat(300) + "\n".repeat(100) + "9".repeat(100),
  "what tokenizers write": "▁ ▁▁ Ġthe Ċ <0x0A> <0xFF> [EMPTY_1] ▁the <unk",
  markup: '<p class="x">a &amp; b</p> <br/> {{ jinja }} {% for %} $x^2_i$ [link](http://example.org/?q=1&r=2#s)'
}

/** Numbers in [0, 1) that depend on nothing but the seed (mulberry32). */
export const randomFrom = (seed: number): (() => number) => {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const morsels = [
  ..."ab éİſßΩ\n\t\0'.,!|<>_-=/{}19²٣日本語中한ก्привمر👩🏽🇩\u0301\u200d\u00a0\u3000\u2028\ufffd▁Ġ𐐀"
].concat(["  ", "\r\n", "'s", "'LL", "the ", "tion", "ing", "==", "//", "123", "<0x0A>", "xxxxxxxx", "\n\n ", "👩‍👩‍👧"])

/**
 * Random text: mostly morsels that tokenizers treat differently, else any character of Unicode.
 *
 * U+FEFF and U+0085 never occur: JavaScript's `\s`, which the reference implementations use, is wrong about them.
 */
export const randomText = (random: () => number, morselCountMax = 40): string => {
  let text = ""
  for (let count = Math.floor(random() * morselCountMax); count >= 0; count--) {
    const any = random() < 0.5 ? 0x3000 : 0x11_0000
    text +=
      random() < 0.8
        ? morsels[Math.floor(random() * morsels.length)]!
        : String.fromCodePoint(Math.floor(random() * any))
  }
  return text.toWellFormed().replaceAll(/[\ufeff\u0085]/g, "")
}
