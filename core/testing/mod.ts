/**
 * What a plugin's author tests with: a contract suite for each kind of plugin, and tiny models to run them on.
 *
 * Suites take the test function of any runner and assert with plain throws.
 *
 * @example
 * ```ts
 * import { test } from "bun:test"
 * import { predictorContract } from "@powerinfer/core/testing"
 *
 * predictorContract({ test, plugin: mine })
 * ```
 */
export * from "./allocation.ts"
export * from "./assertions.ts"
export * from "./backend_contract.ts"
export * from "./direct_run.ts"
export * from "./error_figures.ts"
export * from "./ffn_truth.ts"
export * from "./measure_selector.ts"
export * from "./placement_contract.ts"
export * from "./predictor_context.ts"
export * from "./predictor_contract.ts"
export * from "./run_contract.ts"
export * from "./tiny_families.ts"
export * from "./tiny_model.ts"
export * from "./tiny_vocabulary.ts"
