// Goal: whatever the native library refuses reaches the caller as the error that says what to do.
// Method: a library of the same functions that computes nothing and returns the statuses it was compiled with.
import { afterEach, describe, expect, test } from "bun:test"
import { Batch, isaNames, NativeCallFailed } from "@powerinfer/core"
import { Effect } from "effect"
import { abiVersion } from "../../../../core/native/powerinfer.ts"
import { cpuSymbols } from "../../../../plugins/backends/cpu/symbols.ts"
import { compileLibrary, compiler, scratch } from "../../../native/tiny_library.ts"
import { openOnCpu, reluModel } from "./open_on_cpu.ts"

const directory = scratch("refusal")
const named = process.env["POWERINFER_LIBRARY"]
afterEach(() => {
  if (named === undefined) delete process.env["POWERINFER_LIBRARY"]
  else process.env["POWERINFER_LIBRARY"] = named
})

type Statuses = { readonly [Name in keyof typeof cpuSymbols]?: number }

/** Makes every function return 0, or its status of `statuses`, on a machine of 2 GB, all or some of it available, that runs only scalar code. */
const useLibrary = (name: string, statuses: Statuses, availableBytes = 2e9): void => {
  const functions = Object.keys(cpuSymbols)
    .filter((symbol) => symbol !== "powerinfer_machine_read")
    .map((symbol) => `int ${symbol}(void) { return ${statuses[symbol as keyof Statuses] ?? 0}; }`)
  const source = `
#include <stdint.h>
#include <string.h>
struct machine { uint32_t struct_size, isa_mask, core_count, reserved; double memory, available; };
uint32_t powerinfer_abi_version(void) { return ${abiVersion}; }
uint32_t powerinfer_last_error(char* text, uint32_t capacity) {
  const char* words = "Cannot obey: this library was made to refuse";
  (void)capacity;
  memcpy(text, words, strlen(words));
  return strlen(words);
}
int powerinfer_machine_read(struct machine* m) { m->isa_mask = 1 << 1; m->core_count = 3; m->memory = 2e9; m->available = ${availableBytes}; return 0; }
${functions.join("\n")}`
  process.env["POWERINFER_LIBRARY"] = compileLibrary(directory, name, source)
}

const failureOf = (...args: Parameters<typeof openOnCpu>) =>
  Effect.runPromise(Effect.flip(Effect.scoped(openOnCpu(...args))))

describe.skipIf(compiler === null)("the CPU backend", () => {
  test.each(isaNames.filter((isa) => isa !== "auto" && isa !== "scalar"))(
    "refuses %p on a CPU that lacks it and names what it has",
    async (isa) => {
      useLibrary("scalar", {})
      expect(await failureOf(reluModel, { isa })).toMatchObject({
        _tag: "BackendFailure",
        backend: "cpu",
        reason: `this CPU does not run ${isa}; choose auto or one of scalar`
      })
    }
  )
  test("turns OUT_OF_MEMORY of the workspace into NotEnoughMemory", async () => {
    useLibrary("ready_memory", { powerinfer_model_ready: -4 })
    expect(await failureOf(reluModel)).toMatchObject({ _tag: "NotEnoughMemory", purpose: "the workspace" })
  })
  test("turns OUT_OF_MEMORY of a cache into NotEnoughMemory", async () => {
    useLibrary("cache_memory", { powerinfer_cache_open: -4 })
    const failure = openOnCpu(reluModel).pipe(
      Effect.flatMap((device) => device.openCache(16, "f16")),
      Effect.scoped,
      Effect.flip
    )
    expect(await Effect.runPromise(failure)).toMatchObject({
      _tag: "NotEnoughMemory",
      purpose: "a KV cache of 16 positions"
    })
  })
  test("turns OUT_OF_MEMORY of a copy of weights into NotEnoughMemory that names --weights mapped", async () => {
    useLibrary("copy_memory", { powerinfer_model_make_resident: -4 })
    const failure = await failureOf(reluModel)
    expect(failure).toMatchObject({ _tag: "NotEnoughMemory", purpose: "a copy of the weights", availableBytes: 2e9 })
    expect(failure.message).toContain("--weights mapped")
  })
  test("copies no weights that do not all fit in the memory that is available, whatever the limit", async () => {
    useLibrary("little_memory", { powerinfer_model_make_resident: -1 }, 5e6)
    const failure = await failureOf(reluModel, { memoryLimitBytes: 1e12 })
    expect(failure).toMatchObject({ _tag: "NotEnoughMemory", purpose: "a copy of the weights", availableBytes: 5e6 })
    expect(failure.message).toContain("--weights mapped")
  })
  test("refuses resident weights that do not fit, and maps them with a word about it", async () => {
    useLibrary("little_memory_mapped", {}, 5e6)
    const failure = await failureOf(reluModel)
    expect(failure).toMatchObject({ _tag: "NotEnoughMemory", purpose: "weights and workspace", availableBytes: 5e6 })
    expect(failure.message).toContain("--weights mapped")
    const announced: Array<string> = []
    const opened = openOnCpu(reluModel, { weights: "mapped" }, { announce: (line) => void announced.push(line) })
    await Effect.runPromise(Effect.scoped(Effect.asVoid(opened)))
    expect(announced).toEqual([expect.stringMatching(/^0\.0\d GB of weights do not fit in the 0\.01 GB .* available/)])
  })
  test.each([
    "powerinfer_cpu_open",
    "powerinfer_file_open",
    "powerinfer_model_open",
    "powerinfer_model_bind",
    "powerinfer_model_rope",
    "powerinfer_model_ready"
  ] as const)("turns a refusal of %p into BackendFailure with the library's words", async (call) => {
    useLibrary(`refuses_${call}`, { [call]: -1 })
    const failure = await failureOf(reluModel)
    expect(failure._tag).toBe("BackendFailure")
    expect(failure.message).toContain("Cannot obey: this library was made to refuse")
  })
  test("throws a refusal in the token loop as a defect with the library's words", async () => {
    useLibrary("refuses_embed", { powerinfer_embed: -1 })
    const embedding = openOnCpu(reluModel).pipe(
      Effect.map((device) => {
        const batch = new Batch(1)
        batch.add(0, 0, 1, true)
        return expect(() => device.embed(batch)).toThrow(NativeCallFailed)
      }),
      Effect.scoped
    )
    await Effect.runPromise(embedding)
  })
})

describe("the CPU backend", () => {
  test("says which library is missing", async () => {
    process.env["POWERINFER_LIBRARY"] = "/absent/libpowerinfer.so"
    const failure = await failureOf(reluModel)
    expect(failure._tag).toBe("NativeLibraryError")
    expect(failure.message).toContain("/absent/libpowerinfer.so")
  })
})
