// How is a C library called from Bun and from Deno alike?
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"

/** A native library cannot be found, built or loaded. `remedy` says what to do about it. */
export class NativeLibraryError extends Schema.TaggedError<NativeLibraryError>()("NativeLibraryError", {
  path: Schema.String,
  reason: Schema.String,
  remedy: Schema.String
}) {
  override get message() {
    return `Cannot load the native library ${this.path}: ${this.reason}; ${this.remedy}`
  }
}

/** A typed array or DataView is passed by address; `null` is NULL, and so is an empty one on Deno. */
export type ArgumentType = "u32" | "i32" | "f32" | "f64" | "buf"
/** Numbers that neither runtime needs a BigInt for. */
export type ResultType = "void" | "u32" | "i32" | "f64"

/** One C function. Pointers are `buf`, and so are strings, as UTF-8 with their length beside them; structs are written into buffers. */
export interface SymbolDefinition {
  readonly args: ReadonlyArray<ArgumentType>
  readonly ret: ResultType
}

export type SymbolDefinitions = Readonly<Record<string, SymbolDefinition>>

/** Memory that C may read and write while the call lasts. Small arrays must stand on an ArrayBuffer of their own: `new Uint32Array(new ArrayBuffer(4))`. */
export type NativeBuffer = ArrayBufferView

type Argument<Type extends ArgumentType> = Type extends "buf" ? NativeBuffer | null : number
type Arguments<Types extends ReadonlyArray<ArgumentType>> = { -readonly [Index in keyof Types]: Argument<Types[Index]> }
type Result<Type extends ResultType> = Type extends "void" ? void : number

/** The functions of a library, by name. */
export type Symbols<Definitions extends SymbolDefinitions> = {
  readonly [Name in keyof Definitions]: (
    ...args: Arguments<Definitions[Name]["args"]>
  ) => Result<Definitions[Name]["ret"]>
}

/** The runtimes whose foreign function interfaces we speak; on any other, opening a library fails. */
export const nativeRuntime: "bun" | "deno" | "other" =
  "Bun" in globalThis ? "bun" : "Deno" in globalThis ? "deno" : "other"

/**
 * Opens the library at `path` until the scope closes; from then on its symbols throw.
 *
 * Call through the returned object (`symbols.f(…)`). The library stays mapped after the scope, because threads of its own may still be on
 * their way out of it: neither they nor a function that someone took out of `symbols` jumps into unmapped memory.
 *
 * - cost    2 to 25 ns a call (Bun), 5 to 25 ns (Deno); arguments are not checked beyond their types
 * - fails   with `NativeLibraryError`: no such file, not a library of this machine, a symbol is missing, or the runtime has no FFI (Node)
 */
export const openLibrary = <const Definitions extends SymbolDefinitions>(
  path: string,
  definitions: Definitions
): Effect.Effect<Symbols<Definitions>, NativeLibraryError, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(load(path, definitions), (functions) => Effect.sync(() => closeFunctions(path, functions))),
    (functions) => functions as Symbols<Definitions>
  )

type AnyFunction = (...args: ReadonlyArray<never>) => unknown
type Functions = Record<string, AnyFunction>

/** By definitions, then by path. What a runtime compiles for a set of symbols is never freed (Bun: 2 KB and half a KB a symbol): once is enough. */
const compiled = new WeakMap<SymbolDefinitions, Map<string, Functions>>()

const compileOnce = (path: string, definitions: SymbolDefinitions): Functions => {
  const byPath = compiled.get(definitions) ?? new Map<string, Functions>()
  compiled.set(definitions, byPath)
  const functions = byPath.get(path) ?? openers[nativeRuntime](path, definitions)
  byPath.set(path, functions)
  return functions
}

const load = (path: string, definitions: SymbolDefinitions): Effect.Effect<Functions, NativeLibraryError> =>
  Effect.try({
    // A copy for each scope, which closes its own.
    try: () => ({ ...compileOnce(path, definitions) }),
    catch: (cause) =>
      new NativeLibraryError({
        path,
        reason: cause instanceof Error ? cause.message : String(cause),
        remedy:
          nativeRuntime === "other"
            ? "run with Bun (npm start fetches it) or Deno"
            : "check that it exists and was built from this version for this machine"
      })
  })

/** Calling a symbol that bun:ffi has closed is a segmentation fault; a stub that throws is a stack trace. */
const closeFunctions = (path: string, functions: Functions): void => {
  for (const name of Object.keys(functions)) {
    functions[name] = () => {
      throw new Error(`Cannot call ${name}: its library ${path} has been closed`)
    }
  }
}

const openers: Readonly<Record<typeof nativeRuntime, (path: string, definitions: SymbolDefinitions) => Functions>> = {
  bun(path, definitions) {
    // Not an import: other runtimes must be able to load this module.
    const { dlopen } = process.getBuiltinModule("bun:ffi") as typeof import("bun:ffi")
    return dlopen(
      path,
      translate(definitions, ({ args, ret }) => ({ args: args.map(bunArgument), returns: ret }))
    ).symbols
  },
  deno(path, definitions) {
    const { dlopen } = (globalThis as unknown as { readonly Deno: DenoFfi }).Deno
    return dlopen(
      path,
      translate(definitions, ({ args, ret }) => ({ parameters: args.map(denoArgument), result: ret }))
    ).symbols
  },
  other() {
    throw new Error("this runtime has no foreign function interface")
  }
}

const bunArgument = (type: ArgumentType) => (type === "buf" ? "ptr" : type)
const denoArgument = (type: ArgumentType) => (type === "buf" ? "buffer" : type)

const translate = <Foreign>(definitions: SymbolDefinitions, one: (definition: SymbolDefinition) => Foreign) =>
  Object.fromEntries(Object.entries(definitions).map(([name, definition]) => [name, one(definition)]))

/** The part of Deno's namespace used here (deno.land/api: Deno.dlopen). */
interface DenoFfi {
  readonly dlopen: (
    path: string,
    symbols: Record<string, { readonly parameters: ReadonlyArray<string>; readonly result: string }>
  ) => { readonly symbols: Functions }
}
