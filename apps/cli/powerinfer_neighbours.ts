// Where do the files lie that PowerInfer keeps beside a model?
import { existsSync, readdirSync, statSync } from "node:fs"
import { dirname, join } from "node:path"
import * as Effect from "effect/Effect"
import { InvalidUsage } from "./invalid_usage.ts"

const folderName = "activation"
const indexSuffix = ".generated.gpuidx"

/** Which statistics, and the model they are of. */
export interface FoundStatistics {
  readonly directory: string
  readonly model: string
}

/**
 * The folder of activation statistics that is meant by `input`: a model with the folder beside it, a folder with both, or the folder itself.
 * The model is `given`, or the only one that lies there. Fails with `InvalidUsage` where several could be meant.
 */
export const findStatistics = (
  input: string,
  given: string | undefined
): Effect.Effect<FoundStatistics, InvalidUsage> =>
  Effect.suspend(() => {
    const isFolder = existsSync(input) && statSync(input).isDirectory()
    if (!isFolder) return Effect.succeed({ directory: join(dirname(input), folderName), model: given ?? input })
    const inside = join(input, folderName)
    const directory = existsSync(inside) ? inside : input
    if (given !== undefined) return Effect.succeed({ directory, model: given })
    const home = dirname(directory)
    const models = readdirSync(home).filter((name) => name.endsWith(".gguf"))
    if (models.length === 1) return Effect.succeed({ directory, model: join(home, models[0]!) })
    const reason = `${models.length} models lie beside ${directory}; say with --model which the statistics are of`
    return Effect.fail(new InvalidUsage({ reason }))
  })

/** The model whose index this is by its name. Fails with `InvalidUsage` where the name does not say. */
export const findIndexedModel = (index: string, given: string | undefined): Effect.Effect<string, InvalidUsage> => {
  if (given !== undefined) return Effect.succeed(given)
  if (index.endsWith(indexSuffix)) return Effect.succeed(index.slice(0, -indexSuffix.length))
  const reason = `${index} does not end in ${indexSuffix}; say with --model which model it is of`
  return Effect.fail(new InvalidUsage({ reason }))
}
