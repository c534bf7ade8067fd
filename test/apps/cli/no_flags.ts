// What are the engine's flags where none was given?
import type { EngineFlags } from "../../../apps/cli/flags.ts"

export const noFlags: EngineFlags = {
  threads: undefined,
  ctx: undefined,
  kvType: undefined,
  batch: undefined,
  predictor: undefined,
  placement: undefined,
  backend: [],
  isa: undefined,
  weights: undefined,
  repack: undefined
}
