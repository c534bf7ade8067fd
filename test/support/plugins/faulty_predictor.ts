// A predictor for tests that breaks its contract in one way, which its option names.
import { definePlugin, type NeuronSelector } from "@powerinfer/core"
import { Effect, Schema } from "effect"

export const faults = [
  "open throws",
  "open dies",
  "open never returns",
  "open keeps the thread",
  "open returns nothing",
  "open returns another shape",
  "select throws",
  "select throws in large batches",
  "select adds a neuron beyond the last",
  "select writes bits beyond the last neuron",
  "select changes rowCount",
  "select writes to the hidden vectors",
  "select writes beyond the batch",
  "none"
] as const

type Fault = (typeof faults)[number]

const select: { readonly [Name in Fault]?: NeuronSelector["select"] } = {
  "select throws": () => {
    throw new Error("no idea which neurons")
  },
  "select throws in large batches": (_block, hidden, active) => {
    if (hidden.rowCount >= 3) throw new Error("three rows are too many")
    active.fill()
  },
  "select adds a neuron beyond the last": (_block, _hidden, active) => active.add(0, active.ffnWidth),
  "select writes bits beyond the last neuron": (_block, _hidden, active) =>
    void active.words.fill(0xffff_ffff, 0, active.rowCount * active.wordsPerRow),
  "select changes rowCount": (_block, _hidden, active) => void (active.rowCount = 0),
  "select writes to the hidden vectors": (_block, hidden) => void (hidden.values[0] = 1e9),
  "select writes beyond the batch": (_block, _hidden, active) =>
    void (active.words[active.rowCount * active.wordsPerRow] = 1)
}

export default definePlugin({
  kind: "predictor",
  name: "faulty_predictor",
  version: "0.1.0",
  engine: "^0.1.0",
  module: import.meta.url,
  options: Schema.Struct({ fault: Schema.Literals(faults) }),
  open: ({ fault }) => {
    switch (fault) {
      case "open throws":
        throw new Error("cannot even begin")
      case "open dies":
        return Effect.die(new Error("died in the middle"))
      case "open never returns":
        return Effect.never
      case "open keeps the thread":
        for (;;);
      case "open returns nothing":
        return Effect.succeed(undefined as unknown as NeuronSelector)
      case "open returns another shape":
        return Effect.succeed({ proposes: "most" } as unknown as NeuronSelector)
      default:
        return Effect.succeed({
          proposes: "some",
          confirms: false,
          exact: false,
          select: select[fault] ?? ((_block, _hidden, active) => active.fill())
        })
    }
  }
})
