// With which code does the program end, and why?
import type * as CliError from "effect/cli/CliError"
import type {
  ArtifactUnreadable,
  BandwidthUnknown,
  CorpusUnreadable,
  ConversionError,
  EngineError,
  FileUnwritable,
  ResultsUnusable,
  StaleArtifact,
  TextTooShort,
  TokenizerError,
  TokenOutsideVocabulary
} from "powerinfer"
import type { PluginFolderExists } from "./commands/plugin_create.ts"
import type { InvalidUsage } from "./invalid_usage.ts"
import type { OutputClosed, OutputFailed } from "./output.ts"
import type { PluginCheckFailed } from "./plugin_check_failed.ts"
import type { InputFailed, InvalidText } from "./text_input.ts"

/** What a code means. 130, 143 and 129: ended by SIGINT (Ctrl-C), SIGTERM, SIGHUP. */
export const exitCodes = {
  0: "done, or the reader of the output has gone",
  1: "a defect: please report it",
  2: "wrong use: an unknown flag, a value out of range",
  3: "a file is missing, is a directory, is in the way, or cannot be read or written",
  4: "the model file is damaged or contradicts itself",
  5: "not supported: architecture, tensor type, tokenizer, instruction set",
  6: "not enough memory",
  7: "the prompt: too long for the context, not UTF-8, or no chat template for it",
  8: "a plugin cannot be had, does not fit the model, or broke its contract",
  9: "the native library cannot be found, built or loaded",
  10: "a profile, trace, plan or report is damaged, or was made for another model"
} as const

export type ExitCode = keyof typeof exitCodes

/** For the help text. */
export const exitCodeTable = Object.entries(exitCodes)
  .map(([code, meaning]) => `  ${code}  ${meaning}`)
  .join("\n")

/** Every error that a command can end with. */
export type CommandError =
  | EngineError
  | TokenizerError
  | TextTooShort
  | BandwidthUnknown
  | CorpusUnreadable
  | ConversionError
  | ArtifactUnreadable
  | StaleArtifact
  | ResultsUnusable
  | TokenOutsideVocabulary
  | FileUnwritable
  | InvalidUsage
  | InvalidText
  | PluginFolderExists
  | InputFailed
  | OutputClosed
  | OutputFailed
  | PluginCheckFailed
  | CliError.CliError

/** By tag. A new error without a code does not compile. */
const codes: { readonly [Tag in CommandError["_tag"]]: ExitCode } = {
  OutputClosed: 0,

  EngineDefect: 1,
  SessionBusy: 1,

  ShowHelp: 2,
  UnrecognizedOption: 2,
  DuplicateOption: 2,
  MissingOption: 2,
  MissingArgument: 2,
  UnexpectedArgument: 2,
  InvalidValue: 2,
  UnknownSubcommand: 2,
  ValidationError: 2,
  UserError: 2,
  InvalidUsage: 2,
  InvalidRequest: 2,
  TokenOutsideVocabulary: 2,
  TextTooShort: 2,
  BiasOutsideVocabulary: 2,

  FileNotFound: 3,
  CorpusUnreadable: 3,
  NotAFile: 3,
  FileUnreadable: 3,
  FileUnwritable: 3,
  MissingPart: 3,
  InputFailed: 3,
  OutputFailed: 3,
  PluginFolderExists: 3,

  NotGguf: 4,
  TruncatedFile: 4,
  MalformedGguf: 4,
  InvalidSplit: 4,
  MissingMetadata: 4,
  InvalidMetadata: 4,
  InvalidModel: 4,
  InvalidVocabulary: 4,
  ForeignFileInvalid: 4,
  TokenIdOutOfRange: 4,
  InvalidChatTemplate: 4,
  UnusableLogits: 4,

  BigEndianFile: 5,
  UnsupportedVersion: 5,
  UnsupportedTensorType: 5,
  UnsupportedArchitecture: 5,
  UnsupportedFeature: 5,
  UnsupportedTokenizer: 5,
  BackendFailure: 5,
  BandwidthUnknown: 5,
  CacheTypeUnsuited: 5,
  ConversionImpossible: 5,

  NotEnoughMemory: 6,

  PromptTooLong: 7,
  ContextTooLong: 7,
  InvalidText: 7,
  NoChatTemplate: 7,
  ChatTemplateFailed: 7,

  PluginUnavailable: 8,
  PluginIncompatible: 8,
  PluginFault: 8,
  PluginCheckFailed: 8,
  PredictorFailure: 8,
  PlacementImpossible: 8,
  PredictorMismatch: 8,

  NativeLibraryError: 9,

  ArtifactUnreadable: 10,
  StaleArtifact: 10,
  ResultsUnusable: 10
}

/** The code of an error; 1 for anything that is none of ours. */
export const exitCodeOf = (error: unknown): ExitCode => {
  if (typeof error !== "object" || error === null || !("_tag" in error)) return 1
  // Asked for, by running a command without arguments.
  if (error._tag === "ShowHelp" && "errors" in error && Array.isArray(error.errors) && error.errors.length === 0)
    return 0
  return Object.hasOwn(codes, String(error._tag)) ? codes[error._tag as keyof typeof codes] : 1
}
