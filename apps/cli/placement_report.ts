// How is a placement shown: as tables for people, as keys for programs?
import { deviceEntry, type PlacedModel, type SpeedPrediction, type TokenSeconds } from "powerinfer"
import { formatBytes, formatRate, formatShare } from "./quantities.ts"
import { markdownTable } from "./speed_report.ts"

/** What the parts of a token are called. */
const partNames: Readonly<Record<keyof TokenSeconds, string>> = {
  attention: "attention",
  cache: "KV cache",
  output: "logits",
  ffn: "FFN",
  predictor: "predictor",
  handOff: "hand-offs",
  overhead: "overhead"
}

/** Devices, blocks, speed, what was said. */
export const placementText = (placed: PlacedModel): string => {
  const { file } = placed
  const where = file.devicesPresent
    ? ""
    : "\nThese devices are not here: the plan is for looking at, and for a machine that has them.\n"
  return [
    `${file.model.name} placed by ${file.policy.name}, ${file.contextLength} tokens of context, KV cache ${file.cacheType}`,
    where,
    devicesTable(placed),
    "",
    blocksTable(placed),
    "",
    speedText(placed),
    ...file.notes.map((line) => `\n${line}`),
    ""
  ].join("\n")
}

const devicesTable = ({ file: { devices, home }, loads }: PlacedModel): string =>
  markdownTable([
    ["device", "neurons", "of the firing", "neurons take", "the rest", "of memory"],
    ...devices.map(({ name, memoryBytes }, device) => {
      const { neuronShare, firingShare, neuronBytes, otherBytes } = loads[device]!
      return [
        device === home ? `${name} (home)` : name,
        formatShare(neuronShare),
        formatShare(firingShare),
        formatBytes(neuronBytes),
        formatBytes(otherBytes),
        `${formatShare((neuronBytes + otherBytes) / memoryBytes)} of ${formatBytes(memoryBytes)}`
      ]
    })
  ])

const blocksTable = ({ file: { devices }, owners, loads, prediction }: PlacedModel): string =>
  markdownTable([
    ["block", ...devices.map(({ name }) => name), ...(prediction ? ["FFN, ms"] : [])],
    ...owners.map((_, block) => [
      String(block),
      ...loads.map(({ shares }) => formatShare(shares[block]!)),
      ...(prediction ? [(prediction.blocks[block]!.seconds * 1000).toFixed(3)] : [])
    ])
  ])

const speedText = ({ file: { devices }, prediction, alone }: PlacedModel): string => {
  if (prediction === undefined) {
    return "No speed is predicted: a device that takes part has no bandwidth; give it one in a device file."
  }
  const bound = devices.every(({ tokenOverheadSeconds }) => tokenOverheadSeconds === undefined)
  return [
    `predicted decode: ${formatRate(prediction.tokensPerSecond)} tokens/s, ${formatBytes(prediction.bytesPerToken)} a token`,
    `  ${parts(prediction)}`,
    ...alone.map(({ device, fits, prediction: one }) => {
      const speed = one === undefined ? "no bandwidth" : `${formatRate(one.tokensPerSecond)} tokens/s`
      return `everything on ${devices[device]!.name}: ${speed}${fits ? "" : ", if it had the memory"}`
    }),
    ...(bound ? ["Nothing but reading is counted, because no overhead was measured: real speeds are lower."] : [])
  ].join("\n")
}

const parts = ({ seconds }: SpeedPrediction): string =>
  Object.entries(seconds)
    .filter(([, part]) => part > 0)
    .map(([key, part]) => `${partNames[key as keyof TokenSeconds]} ${(part * 1000).toPrecision(3)} ms`)
    .join(", ")

/** The keys of `place --json`. */
export const placementJson = ({ file, loads, prediction, alone }: PlacedModel) => ({
  model: file.model,
  policy: file.policy,
  ...(file.profile && { profile: { sha256: file.profile.sha256, token_count: file.profile.tokenCount } }),
  context_tokens: file.contextLength,
  kv_type: file.cacheType,
  devices_present: file.devicesPresent,
  home: file.home,
  reserved: {
    cache_bytes: file.reservedBytes.cacheBytes,
    predictor_bytes: file.reservedBytes.predictorBytes,
    workspace_bytes: file.reservedBytes.workspaceBytes
  },
  devices: file.devices.map((device, index) => {
    const load = loads[index]!
    return {
      ...deviceEntry(device),
      neuron_share: load.neuronShare,
      firing_share: load.firingShare,
      neuron_bytes: load.neuronBytes,
      other_bytes: load.otherBytes,
      block_shares: load.shares
    }
  }),
  prediction: prediction === undefined ? null : predictionJson(prediction),
  alone: alone.map(({ device, fits, prediction: one }) => ({
    device,
    fits,
    tokens_per_s: one?.tokensPerSecond ?? null
  })),
  notes: file.notes
})

const predictionJson = ({ tokensPerSecond, bytesPerToken, seconds, blocks }: SpeedPrediction) => ({
  tokens_per_s: tokensPerSecond,
  bytes_per_token: bytesPerToken,
  seconds: {
    attention: seconds.attention,
    cache: seconds.cache,
    output: seconds.output,
    ffn: seconds.ffn,
    predictor: seconds.predictor,
    hand_off: seconds.handOff,
    overhead: seconds.overhead
  },
  blocks: blocks.map((block) => ({ devices_s: block.devices, hand_off_s: block.handOff, seconds: block.seconds }))
})
