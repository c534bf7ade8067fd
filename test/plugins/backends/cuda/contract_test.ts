// Goal: the CUDA backend keeps the contract of backends (cuda-sim: its kernels on the simulator).
// Method: the contract suite with the reference backend as the oracle.
import { test } from "bun:test"
import backendCuda from "@powerinfer/backend-cuda"
import { backendContract } from "@powerinfer/core/testing"
import { oracle } from "../../../support/plans.ts"

/** Wide matrices take the simulator seconds, more on cores that others want too. */
const patient = (name: string, run: () => Promise<void>) => test(name, run, 120_000)

backendContract({ test: patient, plugin: backendCuda, options: { simulated: true }, oracle })
