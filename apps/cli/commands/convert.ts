// powerinfer convert: a file of one format as one of another.
import * as Effect from "effect/Effect"
import {
  activationProfile,
  gpuIndexPlanFile,
  isCheckpoint,
  openModel,
  planCheckpoint,
  planFile,
  planGguf,
  planPowerInfer,
  type QuantizableTypeName,
  readActivationStatistics,
  readGguf,
  readGpuIndex,
  statisticsProfile
} from "powerinfer"
import { InvalidUsage } from "../invalid_usage.ts"
import { print, printJson } from "../output.ts"
import { findIndexedModel, findStatistics } from "../powerinfer_neighbours.ts"
import { writeModel } from "../write_model.ts"

export interface ConvertInput {
  readonly input: string
  readonly to: "gguf" | "powerinfer" | "profile" | "plan"
  readonly out: string
  readonly type: QuantizableTypeName | undefined
  readonly predictor: string | undefined
  readonly model: string | undefined
  readonly tokens: number | undefined
  readonly json: boolean
}

/** Flags that only some results have. */
const flagsOf = {
  gguf: ["type"],
  powerinfer: ["type", "predictor"],
  profile: ["model", "tokens"],
  plan: ["model"]
} as const satisfies { readonly [To in ConvertInput["to"]]: ReadonlyArray<keyof ConvertInput> }

export const convert = Effect.fnUntraced(function* (input: ConvertInput) {
  for (const flag of ["type", "predictor", "model", "tokens"] as const) {
    const known: ReadonlyArray<string> = flagsOf[input.to]
    if (input[flag] === undefined || known.includes(flag)) continue
    return yield* new InvalidUsage({ reason: `--${flag} has no meaning with --to ${input.to}` })
  }
  if (input.to === "profile") return yield* convertStatistics(input)
  if (input.to === "plan") return yield* convertIndex(input)
  if (isCheckpoint(input.input)) return yield* convertCheckpoint(input)
  const gguf = yield* readGguf(input.input)
  const layout = { downType: input.type, predictor: input.predictor }
  const plan = input.to === "gguf" ? planGguf(gguf, layout) : planPowerInfer(gguf, layout)
  yield* writeModel(input.out, yield* plan, input.json)
})

const convertCheckpoint = Effect.fnUntraced(function* ({ input, to, out, type, json }: ConvertInput) {
  if (to !== "gguf") {
    return yield* new InvalidUsage({ reason: `${input} becomes --to gguf first, and that file --to ${to}` })
  }
  if (type !== undefined && type !== "F16" && type !== "F32" && type !== "BF16") {
    return yield* new InvalidUsage({
      reason: `${input} becomes F16, F32 or BF16; powerinfer quantize makes ${type} of that`
    })
  }
  yield* writeModel(out, yield* planCheckpoint(input, { type }), json)
})

const convertStatistics = Effect.fnUntraced(function* ({ input, out, model, tokens, json }: ConvertInput) {
  const found = yield* findStatistics(input, model)
  const statistics = yield* readActivationStatistics(found.directory)
  const profile = yield* statisticsProfile(statistics, yield* openModel(found.model), tokens)
  yield* activationProfile.write(out, profile)
  const { tokenCount } = profile
  const whence = tokens === undefined ? "the largest count; the files do not say (--tokens)" : "as given"
  yield* json
    ? printJson({ path: out, model: profile.model.name, block_count: profile.blocks.length, token_count: tokenCount })
    : print(`${out}  ${profile.blocks.length} blocks of ${profile.model.name}, ${tokenCount} tokens (${whence})\n`)
})

const convertIndex = Effect.fnUntraced(function* ({ input, out, model, json }: ConvertInput) {
  const index = yield* readGpuIndex(input)
  const plan = yield* gpuIndexPlanFile(index, yield* openModel(yield* findIndexedModel(input, model)))
  yield* planFile.write(out, plan)
  const onGpu = index.blocks.reduce((sum, neurons) => sum + neurons.length, 0)
  const all = index.blocks.length * index.ffnWidth
  yield* json
    ? printJson({ path: out, model: plan.model.name, neuron_count: all, neurons_on_gpu: onGpu })
    : print(`${out}  ${onGpu} of ${all} neurons of ${plan.model.name} on the GPU\n`)
})
