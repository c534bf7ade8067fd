// Into which words does byte-level BPE cut a text, before it merges inside each of them?
import { UnsupportedTokenizer } from "./tokenizer_error.ts"
import type { TokenizerMetadata } from "./vocabulary.ts"

/** How one family of vocabularies cuts text. */
export interface PreTokenizer {
  /** Applied one after the other, each to the pieces that the one before has left: matches and the gaps between them. */
  readonly patterns: ReadonlyArray<RegExp>
  /** A word that is a token is taken whole, even where merges would not lead to it. */
  readonly ignoresMerges: boolean
  /** Whether a text begins with `bos` where the file does not say. */
  readonly addsBos: boolean
}

// The patterns are those of llama.cpp, `llm_tokenizer_bpe`, which copies them from each model's tokenizer.json.
// `\s` is written \p{White_Space}: JavaScript's \s has U+FEFF and lacks U+0085, unlike the engines these were made for.
const gpt2Words =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const llama3Words =
  /'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu
const qwen2Words =
  /'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\p{White_Space}\p{L}\p{N}]+[\r\n]*|\p{White_Space}*[\r\n]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu

const gpt2: PreTokenizer = { patterns: [gpt2Words], ignoresMerges: false, addsBos: false }
const llama3: PreTokenizer = { patterns: [llama3Words], ignoresMerges: true, addsBos: true }
// Qwen's own tokenizer first brings text into Unicode form NFC; llama.cpp does not, and so neither do we.
const qwen2: PreTokenizer = { patterns: [qwen2Words], ignoresMerges: false, addsBos: false }
const falcon: PreTokenizer = {
  patterns: [/[\p{P}$+<=>^~|`]+/gu, gpt2Words, /[0-9][0-9][0-9]/gu],
  ignoresMerges: false,
  addsBos: false
}
/** What llama.cpp does for files that do not say; no model was trained with it. */
const unspecified: PreTokenizer = {
  patterns: [/[\p{P}$+<=>^~|]+/gu, gpt2Words, /\p{N}+/gu, /[0-9][0-9][0-9]/gu],
  ignoresMerges: false,
  addsBos: false
}

const preTokenizers: ReadonlyMap<string, PreTokenizer> = new Map([
  ["llama-bpe", llama3],
  ["llama3", llama3],
  ["llama-v3", llama3],
  ["falcon3", llama3],
  ["qwen2", qwen2],
  ["deepseek-r1-qwen", qwen2],
  ["gpt-2", gpt2],
  // Not a name that llama.cpp knows: OPT uses GPT-2's tokenizer.
  ["opt", gpt2],
  ["phi-2", gpt2],
  ["olmo", gpt2],
  ["falcon", falcon],
  ["default", unspecified]
])

/** Older converters wrote no `tokenizer.ggml.pre`; where a family has only one tokenizer, it is that. */
const preTokenizerOfArchitecture: ReadonlyMap<string, string> = new Map([
  ["falcon", "falcon"],
  ["gpt2", "gpt-2"],
  ["opt", "gpt-2"],
  ["qwen2", "qwen2"],
  ["qwen3", "qwen2"]
])

/**
 * The pre-tokenizer that the file names.
 *
 * - throws  `UnsupportedTokenizer`, `InvalidMetadata`
 */
export const readPreTokenizer = (metadata: TokenizerMetadata): PreTokenizer => {
  const key = "tokenizer.ggml.pre"
  const family = preTokenizerOfArchitecture.get(metadata.string("general.architecture", "")) ?? "default"
  const name = metadata.string(key, family)
  const found = preTokenizers.get(name)
  if (found === undefined) throw new UnsupportedTokenizer({ key, actual: name, supported: [...preTokenizers.keys()] })
  return found
}

/** The words of `text`, in order; joined they are `text`. */
export const splitWords = (preTokenizer: PreTokenizer, text: string): Array<string> => {
  let pieces = [text]
  for (const pattern of preTokenizer.patterns) {
    const parts: Array<string> = []
    for (const piece of pieces) {
      let end = 0
      for (const match of piece.matchAll(pattern)) {
        if (match.index > end) parts.push(piece.slice(end, match.index))
        parts.push(match[0])
        end = match.index + match[0].length
      }
      if (end < piece.length) parts.push(piece.slice(end))
    }
    pieces = parts
  }
  return pieces
}
