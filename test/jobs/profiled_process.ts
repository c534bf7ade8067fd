// A process that profiles a tiny model and, if it is told to, ends itself as SIGKILL does after so many windows. For profile_test.ts.
import { join } from "node:path"
import { openCorpus, openModel, openPlan, openTokenizer, profileModel } from "@powerinfer/core"
import { Effect } from "effect"
import { planOptions } from "../support/plans.ts"

/** Prints what was announced. Text and model lie in the folder; results go there. */
const run = Effect.fnUntraced(function* (folder: string, killAfter: number, windowTokens: number) {
  const model = yield* openModel(join(folder, "model.gguf"))
  const plan = yield* openPlan(model, planOptions({ rowCountMax: 8 }), () => {})
  const corpora = yield* Effect.forEach(["a.txt", "b.jsonl"], (name) => openCorpus(join(folder, name)))
  let windows = 0
  yield* profileModel(plan, yield* openTokenizer(model.gguf.metadata), corpora, {
    windowTokens,
    bos: true,
    threshold: 0,
    cacheType: "f32",
    out: join(folder, "p.json"),
    trace: join(folder, "t.arrow"),
    runsWith: {},
    checkpointMs: 0,
    announce: (line) => console.log(line),
    onProgress: () => {
      // Before the checkpoint of this window, and after its part of the trace.
      if (++windows === killAfter) process.kill(process.pid, "SIGKILL")
    }
  })
}, Effect.scoped)

const [folder, killAfter, windowTokens] = process.argv.slice(2)
await Effect.runPromise(run(folder!, Number(killAfter), Number(windowTokens)))
