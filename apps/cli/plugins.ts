// Which plugins can be named on this command line?
import * as Effect from "effect/Effect"
import { discoverPlugins, firstPartyPlugins, projectDirectory } from "powerinfer"

/**
 * Those that come with powerinfer, then those of the project that the command runs in: its own, and its direct dependencies'. Looked up once: a
 * command asks several times.
 */
export const findablePlugins = Effect.runSync(
  Effect.cached(
    Effect.gen(function* () {
      const ours = yield* firstPartyPlugins
      const project = projectDirectory(process.cwd())
      const theirs = project === undefined ? { plugins: [], problems: [] } : yield* discoverPlugins(project)
      const known = new Set(ours.plugins.map(({ module }) => module))
      return {
        ours: ours.plugins,
        theirs: theirs.plugins.filter(({ module }) => !known.has(module)),
        problems: theirs.problems
      }
    })
  )
)

/** All of them. */
export const knownPlugins = Effect.map(findablePlugins, ({ ours, theirs }) => [...ours, ...theirs])
