// Which flags do the benchmarks share?
import { availableParallelism } from "node:os"
import { Option, Schema } from "effect"
import { Argument, Flag } from "effect/cli"

export const positive = Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 2 ** 20 }))

/** "1,2" → [1, 2] */
export const parseCounts = (text: string): Option.Option<ReadonlyArray<number>> =>
  /^[1-9]\d{0,5}(,[1-9]\d{0,5})*$/.test(text) ? Option.some(text.split(",").map(Number)) : Option.none()

/** "a,b:k=1,m=2" → ["a", "b:k=1,m=2"]: what looks like an option continues the name before it. */
export const parsePredictors = (text: string): ReadonlyArray<string> =>
  text.split(/,(?![A-Za-z_]\w*=)/).filter((name) => name !== "")

const counts = (name: string, absent: string) =>
  Flag.String(name).pipe(
    Flag.withMetavar("N,N,…"),
    Flag.withDefault(absent),
    Flag.filterMap(parseCounts, (text) => `${JSON.stringify(text)} is no list of numbers above 0, as in 1,2`)
  )

export const filesArgument = Argument.String("FILE").pipe(
  Argument.withDescription("GGUF files; of a split model, any part"),
  Argument.variadic({ min: 1 })
)

/** What is measured, how often, and when it counts. */
export const speedFlags = {
  threads: counts("threads", String(availableParallelism())).pipe(
    Flag.withDescription("Numbers of threads, ours and the peer's; absent: one a core")
  ),
  promptTokens: counts("prompt-tokens", "128").pipe(Flag.withDescription("Lengths of the prompt; absent: 128")),
  tokens: Flag.Int("tokens").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("Tokens decoded after the prompt; absent: 64"),
    Flag.withDefault(64)
  ),
  predictors: Flag.String("predictors").pipe(
    Flag.withMetavar("NAME,NAME,…"),
    Flag.withDescription(
      "Beside every_neuron, as in powerinfer --predictor; ./bench/replayed_oracle.ts is a perfect one at no cost; absent: exact_gate where the model can be sparse"
    ),
    Flag.withDefault(""),
    Flag.map(parsePredictors)
  ),
  peer: Flag.Boolean("peer").pipe(
    Flag.withDescription(
      "Measure llama.cpp too; fetches it from npm into build/peer on first use (linux-x64; npm, git, cc)"
    ),
    Flag.withDefault(false)
  ),
  repetitions: Flag.Int("repetitions").pipe(
    Flag.withSchema(positive),
    Flag.withDescription("Passes of each engine that count; absent: 5"),
    Flag.withDefault(5)
  ),
  maxOtherLoad: Flag.Finite("max-other-load").pipe(
    Flag.withSchema(Schema.Finite.check(Schema.isGreaterThanOrEqualTo(0))),
    Flag.withDescription("A pass during which other processes use more cores than this is repeated; absent: 0.1"),
    Flag.withDefault(0.1)
  ),
  retries: Flag.Int("retries").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isBetween({ minimum: 0, maximum: 1000 }))),
    Flag.withDescription("How often at most; then the least disturbed pass counts. Absent: 3"),
    Flag.withDefault(3)
  ),
  seed: Flag.Int("seed").pipe(
    Flag.withSchema(Schema.Int.check(Schema.isUint32())),
    Flag.withDescription("Of the text, which the model writes itself; absent: 1"),
    Flag.withDefault(1)
  )
}

/** Where a report goes. */
export const reportFlags = {
  json: Flag.Boolean("json").pipe(Flag.withDescription("Print JSON instead of tables"), Flag.withDefault(false)),
  out: Flag.String("out").pipe(
    Flag.withMetavar("NAME"),
    Flag.withDescription("Write NAME.json and NAME.md too"),
    Flag.optional,
    Flag.map(Option.getOrUndefined)
  )
}
