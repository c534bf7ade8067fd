// Where does an engine's worker come from?
//
// A door of its own, which imports nothing: who goes through it first has the engine's modules loaded beside its own, on another core.

/** In the language of this module: a package that Deno is to run is published compiled, because Deno strips no types below node_modules. */
const workerUrl = new URL(import.meta.url.endsWith(".js") ? "./worker.js" : "./worker.ts", import.meta.url).href

const startWorkerNow = (): Worker => new Worker(workerUrl, { type: "module" })

/** Waits for an engine. */
let early: Worker | undefined

/** Starts the worker of the next engine that this thread opens: its modules load meanwhile. */
export const startWorker = (): void => {
  if (early) return
  const worker = (early = startWorkerNow())
  // Nobody asked for anything yet: the engine starts another, which says what is wrong.
  worker.addEventListener("error", (event) => {
    event.preventDefault()
    if (early === worker) early = undefined
  })
}

/** The worker that was started early, or one that starts now. It is the caller's to end. */
export const takeWorker = (): Worker => {
  const worker = early ?? startWorkerNow()
  early = undefined
  return worker
}
