// Which metadata describes the tokenizer that lies in a checkpoint's directory?
import { existsSync } from "node:fs"
import { join } from "node:path"
import type { MetadataRow } from "../../gguf/writer.ts"
import { TokenType } from "../../tokenizer/vocabulary.ts"
import { ForeignFileInvalid } from "../conversion_error.ts"
import { type ByteLevelVocabulary, readTokenizerJson, readVocabularyAndMerges } from "./byte_level.ts"
import { JsonFile, readJsonFile, readWhole } from "./json_file.ts"
import { readSentencePieces } from "./sentence_piece.ts"

/** The rows, and what should be known about them. */
export interface TokenizerRows {
  readonly rows: ReadonlyArray<MetadataRow>
  readonly notes: ReadonlyArray<string>
}

/** What llama.cpp's converters give tokens that no merge should reach. */
const lowestScore = -1000

/**
 * Reads tokenizer.model, else tokenizer.json, else vocab.json and merges.txt; with tokenizer_config.json, added_tokens.json and
 * chat_template.jinja, where they are there.
 *
 * - `vocabularySize`  rows of the embedding: a shorter vocabulary is filled up, tokens beyond it are left out
 * - throws            `ForeignFileInvalid`, `ConversionImpossible`, and what `withFile` does
 */
export const readTokenizerRows = (directory: string, config: JsonFile, vocabularySize: number): TokenizerRows => {
  const at = (name: string): string | undefined => {
    const path = join(directory, name)
    return existsSync(path) ? path : undefined
  }
  const settingsPath = at("tokenizer_config.json")
  const settings = settingsPath ? readJsonFile(settingsPath) : new JsonFile(directory, {})
  const sentencePiece = at("tokenizer.model")
  const json = at("tokenizer.json")
  const vocabulary = at("vocab.json")
  const merges = at("merges.txt")
  const read: (list: TokenList) => ReadonlyArray<MetadataRow> = sentencePiece
    ? (list) => sentencePieceRows(sentencePiece, at("added_tokens.json"), settings, list)
    : json
      ? (list) => byteLevelRows(readTokenizerJson(json), config, settings, list)
      : vocabulary && merges
        ? (list) => byteLevelRows(readVocabularyAndMerges(vocabulary, merges), config, settings, list)
        : () => {
            throw new ForeignFileInvalid({
              path: directory,
              reason: "it has no tokenizer.model, no tokenizer.json, and no vocab.json with merges.txt"
            })
          }
  const list = new TokenList(vocabularySize)
  const rows = read(list)
  return {
    rows: [...rows, ...templateRows(at("chat_template.jinja"), settings)],
    notes:
      list.leftOut.length === 0
        ? []
        : [`Tokens without a row in the embedding are left out: ${list.leftOut.join(", ")}`]
  }
}

/** Tokens in the order of their ids, as many as the embedding has rows. */
class TokenList {
  readonly leftOut: Array<string> = []
  readonly #size: number
  readonly #tokens: Array<string | undefined> = []
  readonly #scores: Array<number> = []
  readonly #types: Array<number> = []

  constructor(size: number) {
    this.#size = size
  }

  put(id: number, token: string, type: number, score: number): void {
    if (id >= this.#size) {
      this.leftOut.push(token)
      return
    }
    this.#tokens[id] = token
    this.#types[id] = type
    this.#scores[id] = score
  }

  idOf(token: string): number | undefined {
    const id = this.#tokens.indexOf(token)
    return id < 0 ? undefined : id
  }

  /** The first token of a type. */
  idOfType(type: number): number | undefined {
    const id = this.#types.indexOf(type)
    return id < 0 ? undefined : id
  }

  rows(withScores: boolean): ReadonlyArray<MetadataRow> {
    const ids = Array.from({ length: this.#size }, (_, id) => id)
    return [
      ["tokenizer.ggml.tokens", "string[]", ids.map((id) => this.#tokens[id] ?? `[PAD${id}]`)],
      ...(withScores
        ? [["tokenizer.ggml.scores", "f32[]", Float32Array.from(ids, (id) => this.#scores[id] ?? lowestScore)] as const]
        : []),
      ["tokenizer.ggml.token_type", "i32[]", Int32Array.from(ids, (id) => this.#types[id] ?? TokenType.unused)]
    ]
  }

  requireId(file: JsonFile, what: string, id: number): number {
    if (id < this.#size) return id
    throw file.invalid(`${what} is ${id}, the embedding has ${this.#size} rows`)
  }
}

const sentencePieceRows = (
  path: string,
  addedPath: string | undefined,
  settings: JsonFile,
  list: TokenList
): ReadonlyArray<MetadataRow> => {
  const { tokens, scores, types, addsSpacePrefix } = readSentencePieces(path)
  for (const [id, token] of tokens.entries()) list.put(id, token, types[id]!, scores[id]!)
  const added = addedPath ? readJsonFile(addedPath) : undefined
  for (const [token] of added?.entries() ?? []) {
    const id = added!.id(token)!
    if (id >= tokens.length) list.put(id, token, TokenType.userDefined, lowestScore)
  }
  for (const [token, id, special] of addedTokens(settings)) {
    if (id >= tokens.length) list.put(id, token, special ? TokenType.control : TokenType.userDefined, lowestScore)
  }
  const unknown = list.idOfType(TokenType.unknown)
  return [
    ["tokenizer.ggml.model", "string", "llama"],
    ["tokenizer.ggml.pre", "string", "default"],
    ...list.rows(true),
    // SentencePiece's own ids, where nothing else is said.
    ...idRows(list, settings, new JsonFile(path, { bos_token_id: 1, eos_token_id: 2 })),
    ...(unknown === undefined ? [] : [["tokenizer.ggml.unknown_token_id", "u32", unknown] as const]),
    ["tokenizer.ggml.add_bos_token", "bool", settings.bool("add_bos_token", true)],
    ["tokenizer.ggml.add_eos_token", "bool", settings.bool("add_eos_token", false)],
    ["tokenizer.ggml.add_space_prefix", "bool", addsSpacePrefix && settings.bool("add_prefix_space", true)]
  ]
}

const byteLevelRows = (
  vocabulary: ByteLevelVocabulary,
  config: JsonFile,
  settings: JsonFile,
  list: TokenList
): ReadonlyArray<MetadataRow> => {
  for (const [id, token] of vocabulary.tokens.entries()) {
    if (token !== undefined) list.put(id, token, vocabulary.types[id]!, 0)
  }
  for (const [token, id, special] of addedTokens(settings)) {
    list.put(id, token, special ? TokenType.control : TokenType.userDefined, 0)
  }
  const ids = idRows(list, settings, config)
  const addsBos =
    settings.get("add_bos_token") === undefined ? vocabulary.addsBos : settings.bool("add_bos_token", false)
  const hasBos = ids.some(([key]) => key === "tokenizer.ggml.bos_token_id")
  return [
    ["tokenizer.ggml.model", "string", "gpt2"],
    ["tokenizer.ggml.pre", "string", vocabulary.pre],
    ...list.rows(false),
    ["tokenizer.ggml.merges", "string[]", vocabulary.merges],
    ...ids,
    ...(addsBos === undefined || !hasBos ? [] : [["tokenizer.ggml.add_bos_token", "bool", addsBos] as const]),
    ["tokenizer.ggml.add_eos_token", "bool", settings.bool("add_eos_token", false)]
  ]
}

/** `added_tokens_decoder` of tokenizer_config.json: { "32000": { content, special } }. */
const addedTokens = (settings: JsonFile): ReadonlyArray<readonly [token: string, id: number, special: boolean]> =>
  (settings.optionalObject("added_tokens_decoder")?.entries() ?? []).map(([id, value]) => {
    const token = new JsonFile(settings.path, value, `added_tokens_decoder.${id}`)
    if (!/^\d{1,9}$/.test(id))
      throw settings.invalid(`added_tokens_decoder has the id ${JSON.stringify(id.slice(0, 40))}`)
    return [token.text("content"), Number(id), token.bool("special", false)] as const
  })

/** Begin, end and padding: by their spelling in tokenizer_config.json, else by their ids in `numbered`. */
const idRows = (list: TokenList, settings: JsonFile, numbered: JsonFile): ReadonlyArray<MetadataRow> =>
  (
    [
      ["bos", "bos"],
      ["eos", "eos"],
      ["pad", "padding"]
    ] as const
  ).flatMap(([name, key]): ReadonlyArray<MetadataRow> => {
    const spelled = spelling(settings.get(`${name}_token`))
    const found = spelled === undefined ? undefined : list.idOf(spelled)
    const id = found ?? numbered.id(`${name}_token_id`)
    if (id === undefined) return []
    return [[`tokenizer.ggml.${key}_token_id`, "u32", list.requireId(numbered, `${name}_token_id`, id)]]
  })

/** A token is spelled, or described: { content, … }. */
const spelling = (token: unknown): string | undefined => {
  if (typeof token === "string") return token
  if (typeof token !== "object" || token === null || !("content" in token)) return undefined
  return typeof token.content === "string" ? token.content : undefined
}

const templateRows = (path: string | undefined, settings: JsonFile): ReadonlyArray<MetadataRow> => {
  const template = path ? new TextDecoder().decode(readWhole(path)) : namedTemplate(settings.get("chat_template"))
  return template === undefined ? [] : [["tokenizer.chat_template", "string", template]]
}

/** One template, or several of which one is the default. */
const namedTemplate = (template: unknown): string | undefined => {
  if (typeof template === "string") return template
  if (!Array.isArray(template)) return undefined
  const found = template.find((one) => typeof one === "object" && one !== null && one.name === "default")
  return typeof found?.template === "string" ? found.template : undefined
}
