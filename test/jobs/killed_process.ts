// A process that runs a job on a tiny model and, if it is told to, ends itself as SIGKILL does after so many steps. For killed_jobs_test.ts.
import { fileURLToPath } from "node:url"
import { readFileSync } from "node:fs"
import { join } from "node:path"
import {
  compare,
  type ExperimentPlugin,
  openCorpus,
  openModel,
  openPlan,
  openResults,
  openTokenizer,
  type PluginKind,
  type PluginUse,
  PredictorFailure,
  profileModel,
  trainPredictor,
  usePlugin,
  discoverPlugins,
  pickPlugin
} from "@powerinfer/core"
import { Effect, type Scope } from "effect"
import { cpu, everyNeuron, exactGate, planOptions } from "../support/plans.ts"
import partOfFired from "../support/plugins/part_of_fired.ts"

/** Texts and `model.gguf` lie in the folder; results go there. What a job announces is printed. */
const [job, folder, killAfter, windowTokens] = process.argv.slice(2) as [string, string, string, string]
const path = (name: string) => join(folder, name)
const announce = (line: string) => console.log(line)

let steps = 0
const step = () => {
  if (++steps === Number(killAfter)) process.kill(process.pid, "SIGKILL")
}

/** A step is a window: before its checkpoint, and after its part of the trace. */
const profile = Effect.gen(function* () {
  const model = yield* openModel(path("model.gguf"))
  const plan = yield* openPlan(model, planOptions({ rowCountMax: 8 }), () => {})
  const corpora = yield* Effect.forEach(["a.txt", "b.jsonl"], (name) => openCorpus(path(name)))
  yield* profileModel(plan, yield* openTokenizer(model.gguf.metadata), corpora, {
    windowTokens: Number(windowTokens),
    bos: true,
    threshold: 0,
    cacheType: "f32",
    out: path("p.json"),
    trace: path("t.arrow"),
    runsWith: {},
    checkpointMs: 0,
    announce,
    onProgress: step
  })
})

/** Learns from the trace of `profile`. A step is a line that is announced. */
const train = Effect.gen(function* () {
  const { plugins } = yield* discoverPlugins(fileURLToPath(new URL("../..", import.meta.url)))
  const mlp = yield* pickPlugin(plugins, "predictor", "mlp")
  const reason = "mlp asks for no device"
  yield* trainPredictor(
    { ...mlp, options: { budget: 0.1, epochs: 3 } },
    {
      model: yield* openModel(path("model.gguf")),
      trace: path("t.arrow"),
      out: path("learned.gguf"),
      seed: 3,
      known: [],
      openProbe: Effect.fail(new PredictorFailure({ predictor: "mlp", reason })),
      announce: (line) => {
        announce(line)
        step()
      }
    }
  )
})

const named = <Kind extends PluginKind>(use: PluginUse<Kind>): ExperimentPlugin<Kind> => ({
  use,
  used: { name: use.name, version: "0.1.0", options: use.options },
  files: {}
})

/** Six points. A step is one that is run and kept; the first one also counts when it is run and not yet kept. */
const points = Effect.gen(function* () {
  const file = path("model.gguf")
  const { backends: _backends, predictor: _predictor, placement, ...plan } = planOptions({ rowCountMax: 8 })
  yield* compare(
    {
      models: [{ file, model: yield* openModel(file) }],
      texts: [{ name: "a.txt", sha256: "aa", text: readFileSync(path("a.txt"), "utf8") }],
      protocol: "llama.cpp",
      windowLength: 20,
      windowCount: 3,
      seeds: [1, 2],
      dense: everyNeuron,
      predictors: [named(everyNeuron), named(exactGate), named(usePlugin(partOfFired, { step: 2 }))],
      placements: [named(placement)],
      backends: [named(cpu())],
      plan,
      cacheType: "f32",
      promptCount: 1,
      decodeWindows: 1
    },
    {
      results: yield* openResults(path("results.sqlite")),
      provenance: Effect.sync(() => {
        step()
        return { command: [], machine: { cpu: "a machine", isas: [], cores: 1, memoryBytes: 1e9 }, versions: {} }
      }),
      announce: () => {},
      onPoint: ({ kept, record }) => {
        announce(`${kept ? "kept" : "ran"} ${record.key}`)
        if (!kept) step()
      }
    }
  )
})

const jobs = { profile, train, compare: points }
await Effect.runPromise(Effect.scoped<void, unknown, Scope.Scope>(jobs[job as keyof typeof jobs]))
