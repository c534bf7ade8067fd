// Goal: the CUDA backend keeps the contract of backends (cuda-sim: its kernels on the simulator).
// Method: the contract suite with the reference backend as the oracle.
import { test } from "bun:test"
import backendCuda from "@powerinfer/backend-cuda"
import { backendContract, type DefineTest } from "@powerinfer/core/testing"
import { oracle } from "../../../support/plans.ts"
import { hasSimulator } from "../../../support/simulator.ts"

/** The simulator takes its time, on machines that do other things too the more. */
const define: DefineTest = (name, run) => test.skipIf(!hasSimulator)(name, run, 60_000)

backendContract({ test: define, plugin: backendCuda, options: { simulated: true }, oracle })
