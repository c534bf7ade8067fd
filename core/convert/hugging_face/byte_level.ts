// Which vocabulary and merges does a byte-level BPE tokenizer (tokenizer.json, or vocab.json with merges.txt) hold?
import { TokenType } from "../../tokenizer/vocabulary.ts"
import { ConversionImpossible } from "../conversion_error.ts"
import { JsonFile, readJsonFile, readWhole } from "./json_file.ts"

export interface ByteLevelVocabulary {
  /** undefined: no token has this id. */
  readonly tokens: ReadonlyArray<string | undefined>
  /** `TokenType`s. */
  readonly types: ReadonlyArray<number>
  readonly merges: ReadonlyArray<string>
  /** As `tokenizer.ggml.pre` has it. */
  readonly pre: string
  /** What the file does before every text, where it says so. */
  readonly addsBos: boolean | undefined
}

/** Far above the largest published vocabularies, so that one hostile id makes no huge list. */
const vocabularySizeMax = 1 << 21

/** How published vocabularies cut text, and what llama.cpp calls it: the regular expressions of tokenizer.json. */
const preByPattern: ReadonlyMap<string, string> = new Map([
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "llama-bpe"
  ],
  [
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+",
    "qwen2"
  ]
])

/** Throws `ForeignFileInvalid`, `ConversionImpossible` (no byte-level BPE, an unknown way to cut text), and what `withFile` does. */
export const readTokenizerJson = (path: string): ByteLevelVocabulary => {
  const file = readJsonFile(path)
  const model = file.object("model")
  const type = model.text("type", "BPE")
  if (type !== "BPE") throw unsupported(path, `it is of the type ${type}`)
  if (model.bool("byte_fallback", false))
    throw unsupported(path, "its tokens are characters, as SentencePiece has them")
  const merges = model.list("merges").map((merge, rank) => {
    if (typeof merge === "string") return merge
    if (Array.isArray(merge) && merge.length === 2 && merge.every((half) => typeof half === "string")) {
      return merge.join(" ")
    }
    throw file.invalid(`merge ${rank} is ${JSON.stringify(merge).slice(0, 60)}`)
  })
  const added = file.get("added_tokens") === undefined ? [] : file.list("added_tokens")
  return {
    ...tokensOf(
      model.object("vocab"),
      added.map((token) => new JsonFile(path, token, "an added token"))
    ),
    merges,
    pre: preOf(path, file.optionalObject("pre_tokenizer")),
    addsBos: beginsWithToken(file)
  }
}

/** GPT-2's own form, which OPT has: two files, one way to cut text. */
export const readVocabularyAndMerges = (vocabularyPath: string, mergesPath: string): ByteLevelVocabulary => {
  const lines = new TextDecoder().decode(readWhole(mergesPath)).split(/\r?\n/)
  return {
    ...tokensOf(readJsonFile(vocabularyPath), []),
    merges: lines.filter((line) => line !== "" && !line.startsWith("#version")),
    pre: "gpt-2",
    addsBos: undefined
  }
}

const tokensOf = (
  vocabulary: JsonFile,
  added: ReadonlyArray<JsonFile>
): Pick<ByteLevelVocabulary, "tokens" | "types"> => {
  const tokens: Array<string | undefined> = []
  const types: Array<number> = []
  const put = (token: string, id: unknown, type: number): void => {
    if (!Number.isSafeInteger(id) || (id as number) < 0 || (id as number) >= vocabularySizeMax) {
      throw vocabulary.invalid(`the token ${JSON.stringify(token)} has the id ${JSON.stringify(id)}`)
    }
    const other = tokens[id as number]
    if (other !== undefined && other !== token) {
      throw vocabulary.invalid(`${JSON.stringify(other)} and ${JSON.stringify(token)} both have the id ${String(id)}`)
    }
    while (tokens.length <= (id as number)) {
      tokens.push(undefined)
      types.push(TokenType.unused)
    }
    tokens[id as number] = token
    types[id as number] = type
  }
  for (const [token, id] of vocabulary.entries()) put(token, id, TokenType.normal)
  for (const token of added) {
    put(token.text("content"), token.id("id"), token.bool("special", false) ? TokenType.control : TokenType.userDefined)
  }
  return { tokens, types }
}

const unsupported = (path: string, reason: string): ConversionImpossible =>
  new ConversionImpossible({
    path,
    reason,
    remedy: "put the model's tokenizer.model beside it, or choose a model with a byte-level BPE tokenizer that is known"
  })

const preOf = (path: string, preTokenizer: JsonFile | undefined): string => {
  if (preTokenizer === undefined) throw unsupported(path, "it does not cut text into words")
  const type = preTokenizer.text("type")
  const steps =
    type === "Sequence"
      ? preTokenizer.list("pretokenizers").map((step) => new JsonFile(path, step, "a pre-tokenizer"))
      : [preTokenizer]
  const byteLevel = steps.find((step) => step.get("type") === "ByteLevel")
  if (byteLevel === undefined) throw unsupported(path, "its tokens are not bytes")
  if (byteLevel.bool("add_prefix_space", true)) throw unsupported(path, "it puts a space before every text")
  const names = steps.map((step) => step.text("type")).join(" ")
  const usesRegex = byteLevel.bool("use_regex", true)
  if (names === "ByteLevel" && usesRegex) return "gpt-2"
  const patterns = steps.flatMap((step) => {
    const pattern = step.optionalObject("pattern")
    return pattern ? [pattern.text(["Regex", "String"])] : []
  })
  // Falcon: punctuation, GPT-2's words, digits in threes.
  if (/^Punctuation ByteLevel (Digits )?Split$/.test(names) && usesRegex && patterns[0] === "[0-9][0-9][0-9]") {
    return "falcon"
  }
  const known = names === "Split ByteLevel" && !usesRegex ? preByPattern.get(patterns[0] ?? "") : undefined
  if (known === undefined) throw unsupported(path, `it cuts text in a way that is not known (${names})`)
  return known
}

/** Whether the template of a single text begins with a special token; undefined where there is no template. */
const beginsWithToken = (file: JsonFile): boolean | undefined => {
  const processor = file.optionalObject("post_processor")
  if (processor === undefined) return undefined
  const steps =
    processor.get("type") === "Sequence"
      ? processor.list("processors").map((step) => new JsonFile(file.path, step, "a post-processor"))
      : [processor]
  const template = steps.find((step) => step.get("type") === "TemplateProcessing")
  if (template === undefined) return undefined
  const first = template.list("single")[0]
  return typeof first === "object" && first !== null && "SpecialToken" in first
}
