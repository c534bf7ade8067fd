// Goal: whatever a user or the world does wrong has its own exit code and says in one line what to do about it.
// Method: the real command on files that are broken in one way each; all runs are made first, two at a time.
import { afterAll, beforeAll, describe, expect, test } from "bun:test"
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { locateLibrary, writeGguf } from "@powerinfer/core"
import { tinyModel, writeTinyModel } from "@powerinfer/core/testing"
import { Effect } from "effect"
import { type CliResult, model, runAll, runCli } from "./run_cli.ts"

const folder = mkdtempSync(join(tmpdir(), "powerinfer-cli-"))
const file = (name: string) => join(folder, name)

/** GGUF, version 3, then the two counts. */
const header = (tensorCount: bigint, metadataCount: bigint): Uint8Array => {
  const bytes = new DataView(new ArrayBuffer(24))
  bytes.setUint32(0, 0x4655_4747, true)
  bytes.setUint32(4, 3, true)
  bytes.setBigUint64(8, tensorCount, true)
  bytes.setBigUint64(16, metadataCount, true)
  return new Uint8Array(bytes.buffer)
}

const writeFiles = async (): Promise<void> => {
  const whole = readFileSync(model)
  writeFileSync(file("truncated.gguf"), whole.subarray(0, whole.length / 2))
  writeFileSync(file("never_repacked.gguf"), whole)
  writeFileSync(file("cut_in_header.gguf"), whole.subarray(0, 1000))
  writeFileSync(file("magic.gguf"), "PK\u0003\u0004 this is a zip file")
  writeFileSync(file("empty.gguf"), "")
  writeFileSync(file("tensor_count.gguf"), header(2n ** 60n, 0n))
  writeFileSync(file("metadata_count.gguf"), header(0n, 2n ** 63n))
  writeFileSync(file("version.gguf"), header(0n, 0n).with(4, 9))
  const tiny = tinyModel({ family: "llama", seed: 1 })
  const metadata = tiny.metadata.map((row) =>
    row[0] === "general.architecture" ? (["general.architecture", "string", "mamba"] as const) : row
  )
  await Effect.runPromise(writeGguf(file("architecture.gguf"), { ...tiny, metadata }))
  const tensors = tiny.tensors.filter(({ name }) => name !== "blk.1.ffn_up.weight")
  await Effect.runPromise(writeGguf(file("missing_tensor.gguf"), { ...tiny, tensors }))
  await Effect.runPromise(writeTinyModel(file("tiny.gguf"), { family: "llama", seed: 1 }))
}

const runInShell = async (
  script: string,
  path: string,
  environment: Readonly<Record<string, string>> = {}
): Promise<CliResult> => {
  const child = Bun.spawn(["sh", "-c", script, process.execPath, path], {
    stdout: "pipe",
    stderr: "pipe",
    env: { ...process.env, ...environment }
  })
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited
  ])
  return { stdout, stderr, code }
}

/** An argument with a byte that is no UTF-8, as a shell passes it on. */
const runWithBrokenArgument = () => runInShell(`exec "$0" apps/cli/main.ts generate "$1" "$(printf 'caf\\351')"`, model)

/** A process that may write files of half a megabyte or one, depending on the shell. */
const runWithFileLimit = () =>
  runInShell(`ulimit -f 1024; exec "$0" apps/cli/main.ts generate "$1" Hello`, file("never_repacked.gguf"), {
    XDG_CACHE_HOME: file("cache")
  })

const generate = (name: string, ...rest: ReadonlyArray<string>) => [
  "generate",
  name,
  "Hello",
  "--max-tokens",
  "1",
  ...rest
]

const cases: ReadonlyArray<{
  readonly what: string
  readonly args: ReadonlyArray<string>
  readonly stdin?: Uint8Array
  readonly code: number
  readonly says: RegExp
}> = [
  { what: "an unknown flag", args: generate(model, "--bogus"), code: 2, says: /Unrecognized flag: --bogus/ },
  { what: "an unknown command", args: ["conjure"], code: 2, says: /Unknown subcommand "conjure"/ },
  { what: "a missing argument", args: ["generate", model], code: 2, says: /Missing required argument: PROMPT/ },
  { what: "a flag that is no number", args: generate(model, "--top-k=many"), code: 2, says: /--top-k: "many"/ },
  { what: "a flag given twice", args: generate(model, "--seed", "1", "--seed=2"), code: 2, says: /--seed/ },
  {
    what: "a temperature out of range",
    args: generate(model, "--temperature", "500"),
    code: 2,
    says: /between 0 and 100/
  },
  { what: "an instruction set nobody has", args: generate(model, "--isa", "mmx"), code: 2, says: /--isa: "mmx"/ },
  {
    what: "a flag of a backend that is not used",
    args: generate(model, "--isa", "scalar", "--backend", "reference"),
    code: 2,
    says: /--isa is for backends that have the option isa, and this run has none \(reference\)/
  },
  {
    what: "a token the model does not have",
    args: ["logits", file("tiny.gguf"), "--tokens", "1,99999", "--out", file("never.bin"), "--backend", "reference"],
    code: 2,
    says: /Cannot run token 99999/
  },
  {
    what: "ids that are none",
    args: ["logits", model, "--tokens", "1,x", "--out", file("never.bin")],
    code: 2,
    says: /--tokens is "1,x"/
  },
  {
    what: "a missing file",
    args: generate(file("nothing.gguf")),
    code: 3,
    says: /nothing\.gguf: there is no such file/
  },
  { what: "a directory", args: generate(folder), code: 3, says: /it is a directory/ },
  {
    what: "an output that cannot be written",
    args: ["logits", file("tiny.gguf"), "--tokens", "1", "--out", file("no/where.bin"), "--backend", "reference"],
    code: 3,
    says: /Cannot write .*where\.bin/
  },
  {
    what: "a truncated file",
    args: generate(file("truncated.gguf")),
    code: 4,
    says: /needs a file of at least 16\d{6} bytes/
  },
  {
    what: "a file cut in its header",
    args: generate(file("cut_in_header.gguf")),
    code: 4,
    says: /incomplete or damaged/
  },
  { what: "a wrong magic", args: generate(file("magic.gguf")), code: 4, says: /begins with "PK/ },
  { what: "an empty file", args: generate(file("empty.gguf")), code: 4, says: /it is empty/ },
  { what: "a hostile tensor count", args: generate(file("tensor_count.gguf")), code: 4, says: /tensor count/ },
  { what: "a hostile metadata count", args: generate(file("metadata_count.gguf")), code: 4, says: /metadata/ },
  { what: "a missing tensor", args: generate(file("missing_tensor.gguf")), code: 4, says: /blk\.1\.ffn_up\.weight/ },
  {
    what: "an unknown architecture",
    args: generate(file("architecture.gguf")),
    code: 5,
    says: /"mamba": known are .*llama/
  },
  { what: "an unknown version", args: generate(file("version.gguf")), code: 5, says: /GGUF version 9/ },
  {
    what: "a Q8_0 cache for heads that are not whole blocks",
    args: generate(file("tiny.gguf"), "--kv-type", "q8_0"),
    code: 5,
    says: /tiny\.gguf in q8_0: its heads of 16 .* use --kv-type f16/
  },
  {
    what: "a context beyond all memory",
    args: generate(model, "--ctx", "1000000000"),
    code: 6,
    says: /KV cache.* GiB are available; lower --ctx/
  },
  {
    what: "a memory limit",
    args: generate(model, "--backend", "cpu:memoryLimitBytes=1000000"),
    code: 6,
    says: /weights.* it needs 0\.02 GiB/
  },
  {
    what: "a predictor that needs what --no-repack forbids",
    args: generate(file("never_repacked.gguf"), "--no-repack"),
    code: 5,
    says: /never_repacked\.gguf\.down_by_neuron is not there .* run with the predictor every_neuron/
  },
  {
    what: "a prompt longer than the context",
    args: generate(model, "--ctx", "2", "--backend", "reference"),
    code: 7,
    says: /the prompt has \d tokens, the session holds 2/
  },
  {
    what: "bytes on standard input that are no UTF-8",
    args: ["generate", model, "-"],
    stdin: Uint8Array.of(0x63, 0x61, 0x66, 0xe9, 0x21),
    code: 7,
    says: /standard input: byte 3 is not valid UTF-8/
  },
  {
    what: "a model without a chat template",
    args: ["chat", model, "--backend", "reference"],
    code: 7,
    says: /no chat template/
  },
  {
    what: "an unknown predictor",
    args: generate(model, "--predictor", "oracle"),
    code: 8,
    says: /predictor oracle:.*use every_neuron, exact_gate/
  },
  {
    what: "a predictor option out of range",
    args: generate(model, "--predictor", "oracle_top_k:share=7"),
    code: 8,
    says: /oracle_top_k: its options are wrong/
  },
  {
    what: "a module that is no plugin",
    args: generate(model, "--predictor", "./core/neuron_set.ts"),
    code: 8,
    says: /no plugin as its default export/
  }
]

/** The one line that may come before the error, where the machine is so busy that the error takes a second. */
const whatTakesASecond = /^Loading \S+\n/

let results: ReadonlyMap<string, CliResult>
let brokenArgument: CliResult
let fileLimit: CliResult

beforeAll(async () => {
  await Effect.runPromise(locateLibrary())
  // So that no run below has to say that it repacks.
  await runCli(generate(model))
  await writeFiles()
  results = await runAll(cases.map(({ what, args, stdin }) => [what, () => runCli(args, stdin)] as const))
  brokenArgument = await runWithBrokenArgument()
  fileLimit = await runWithFileLimit()
}, 600_000)
afterAll(() => rmSync(folder, { recursive: true }))

describe("powerinfer", () => {
  for (const { what, code, says } of cases) {
    test(`ends with ${code} on ${what}`, () => {
      const result = results.get(what)!
      expect(result.stderr).toMatch(says)
      expect(result.stderr.replace(whatTakesASecond, "")).toStartWith("powerinfer: ")
      expect(result.stderr).not.toContain("    at ")
      expect(result.code).toBe(code)
      expect(result.stdout).toBe("")
    })
  }

  test.skipIf(process.platform !== "linux")("ends with 7 on an argument that is no UTF-8", () => {
    expect(brokenArgument.stderr).toContain("argument PROMPT: byte 3 is not valid UTF-8")
    expect(brokenArgument.code).toBe(7)
  })

  test.skipIf(process.platform !== "linux")("ends with 5, not by a signal, where files may not get that large", () => {
    expect(fileLimit.stderr).toMatch(/can be kept nowhere: .*File too large; .*File too large; free space there/)
    expect(fileLimit.code).toBe(5)
  })

  test("ends with 9 when POWERINFER_LIBRARY names no file", async () => {
    const { code, stderr } = await runCli(["devices"], "", { POWERINFER_LIBRARY: file("none.so") })
    expect(stderr).toMatch(/none\.so: POWERINFER_LIBRARY names it/)
    expect(code).toBe(9)
  }, 60_000)

  test("also prints the error as JSON on standard output with --json", async () => {
    const { code, stdout, stderr } = await runCli(["inspect", file("nothing.gguf"), "--json"])
    const { error } = JSON.parse(stdout)
    expect(error).toMatchObject({ tag: "FileNotFound", exit_code: 3 })
    expect(stderr).toBe(`powerinfer: ${error.message}\n`)
    expect(code).toBe(3)
  }, 60_000)

  test("leaves no temporary file behind", () => {
    expect(readdirSync(folder).filter((name) => !/^cache$|\.(gguf|down_by_neuron)$/.test(name))).toEqual([])
  })
})
