// Which version of the plugin contract is this, and does a plugin fit it?
import { gtr, satisfies, validRange } from "semver"
import manifest from "../package.json" with { type: "json" }

/** Of @powerinfer/core: what a plugin's `engine` range must include. */
export const engineVersion: string = manifest.version

/**
 * Which side is too old where `range` does not include `version`; undefined where it does.
 *
 * - returns  "plugin" if the engine has moved beyond the range, "engine" if it has not got there, "nonsense" if `range` is none
 */
export const outdatedSide = (
  range: string,
  version: string = engineVersion
): "engine" | "plugin" | "nonsense" | undefined => {
  if (validRange(range) === null) return "nonsense"
  // A pre-release of the engine is that version as far as plugins are concerned.
  const released = version.split("-")[0]!
  if (satisfies(released, range)) return undefined
  return gtr(released, range) ? "plugin" : "engine"
}
