// Which plugins can be named on this command line?
import { Effect } from "effect"
import { discoverPlugins, firstPartyPlugins, projectDirectory } from "powerinfer"

/** Those that come with powerinfer, then those of the project that the command runs in: its own, and its direct dependencies'. */
export const findablePlugins = Effect.gen(function* () {
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
