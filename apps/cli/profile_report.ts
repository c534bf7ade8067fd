// How is a profile shown: as tables for people, as keys for programs?
import { type PhaseProfile, type Profile, phases, type StageTotals } from "powerinfer"
import { formatBytes, formatShare } from "./quantities.ts"
import { markdownTable } from "./speed_report.ts"

/** A table for each phase that had batches: milliseconds of the engine's thread a token. */
export const profileText = (profile: Profile): string =>
  phases
    .filter((phase) => profile[phase].batchCount > 0)
    .map((phase) => `${title(phase, profile[phase])}\n\n${phaseTable(profile[phase])}`)
    .join("\n\n")

const title = (phase: string, { batchCount, rowCount }: PhaseProfile) =>
  `${phase}, ${rowCount} tokens in ${batchCount} batches`

const phaseTable = (phase: PhaseProfile): string =>
  markdownTable([
    ["stage", "calls", "ms a token", "share", "read a token", "read/s"],
    ...phase.stages.map((stage) => cells(stage, phase)),
    cells(wholeOf(phase), phase)
  ])

const wholeOf = ({ batchCount, seconds, stages }: PhaseProfile): StageTotals => ({
  stage: "all",
  callCount: batchCount,
  seconds,
  bytes: stages.reduce((sum, { bytes }) => sum + bytes, 0)
})

const cells = ({ stage, callCount, seconds, bytes }: StageTotals, phase: PhaseProfile): ReadonlyArray<string> => [
  stage,
  String(callCount),
  ((seconds * 1000) / phase.rowCount).toFixed(3),
  formatShare(seconds / phase.seconds),
  bytes > 0 ? formatBytes(bytes / phase.rowCount) : "",
  bytes > 0 ? formatBytes(bytes / seconds) : ""
]

/** The keys of `profile` in JSON, a phase without batches left out. */
export const profileJson = (profile: Profile) =>
  Object.fromEntries(
    phases.filter((phase) => profile[phase].batchCount > 0).map((phase) => [phase, phaseJson(profile[phase])])
  )

const phaseJson = ({ batchCount, rowCount, seconds, stages }: PhaseProfile) => ({
  batches: batchCount,
  tokens: rowCount,
  seconds,
  ms_per_token: (seconds * 1000) / rowCount,
  stages: stages.map((stage) => ({
    stage: stage.stage,
    calls: stage.callCount,
    seconds: stage.seconds,
    ms_per_token: (stage.seconds * 1000) / rowCount,
    share: stage.seconds / seconds,
    bytes_per_token: stage.bytes / rowCount,
    bytes_per_s: stage.bytes > 0 ? stage.bytes / stage.seconds : 0
  }))
})
