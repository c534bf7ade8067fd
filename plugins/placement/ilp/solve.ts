// How is a binary program solved? By HiGHS, compiled to WebAssembly.
import * as Effect from "effect/Effect"
import type { BinaryProgram } from "./program.ts"

export interface SolverOptions {
  readonly timeLimitSeconds: number
  /** The relative distance to the bound at which the solver stops. */
  readonly gap: number
}

/** How a solve ended. `columns`, one value a column, is there wherever a solution was found; `gap` is its relative distance to the bound. */
export interface Solved {
  readonly status: "optimal" | "infeasible" | "time limit" | "unsolved"
  readonly columns: Float64Array | undefined
  readonly gap: number
}

/** What people should know of a plan that may not be the best; undefined of one that is. */
export const shortfall = ({ status, gap }: Solved, timeLimitSeconds: number): string | undefined => {
  if (status === "optimal") return undefined
  const far = Number.isFinite(gap) ? `, at most ${(gap * 100).toFixed(2)}% below the optimum` : ""
  return `not solved to optimality: ${status === "time limit" ? `stopped after ${timeLimitSeconds} s` : status}${far}`
}

/** Of HiGHS: a feasible point is there. */
const feasiblePoint = 2

/** Its types wrap the default export once more where it is imported when needed, as those of CommonJS do; what is loaded is the function itself. */
type LoadHighs = (typeof import("highs"))["default"]

/** Imported when it is needed: the solver weighs 4 MB, and every listing of plugins imports this one. */
const load = async () => ((await import("highs")).default as unknown as LoadHighs)()
let loading: ReturnType<typeof load> | undefined

/** Solves to the gap, or as far as the time allows. Holds the thread meanwhile; dies where the solver fails for a reason of its own. */
export const solve = (program: BinaryProgram, { timeLimitSeconds, gap }: SolverOptions): Effect.Effect<Solved> =>
  Effect.promise(async () => {
    const highs = await (loading ??= load())
    const { gains, rows } = program
    const entries = rows.flatMap((row) => row.entries)
    const starts = [0]
    for (const row of rows) starts.push(starts.at(-1)! + row.entries.length)
    const { modelStatus, objectiveSense, variableType } = highs.constants
    const model = highs.createModel({
      numCols: gains.length,
      numRows: rows.length,
      sense: objectiveSense.maximize,
      colCost: gains,
      colLower: new Float64Array(gains.length),
      colUpper: new Float64Array(gains.length).fill(1),
      rowLower: rows.map(({ lower }) => (lower === -Infinity ? -highs.infinity : lower)),
      rowUpper: rows.map(({ upper }) => (upper === Infinity ? highs.infinity : upper)),
      matrix: {
        format: "csr",
        numRows: rows.length,
        numCols: gains.length,
        starts,
        indices: entries.map(([column]) => column),
        values: entries.map(([, value]) => value)
      },
      integrality: new Int32Array(gains.length).fill(variableType.integer)
    })
    try {
      model.options.set({ output_flag: false, time_limit: timeLimitSeconds, mip_rel_gap: gap, mip_abs_gap: 0 })
      const ended = model.run().modelStatus
      const found = Number(model.info.get("primal_solution_status")) === feasiblePoint
      return {
        status:
          ended === modelStatus.optimal
            ? "optimal"
            : ended === modelStatus.infeasible || ended === modelStatus.unboundedOrInfeasible
              ? "infeasible"
              : ended === modelStatus.timeLimit
                ? "time limit"
                : "unsolved",
        columns: found ? model.getSolution().colValue : undefined,
        gap: Number(model.info.get("mip_gap"))
      } as const
    } finally {
      model.dispose()
    }
  })
