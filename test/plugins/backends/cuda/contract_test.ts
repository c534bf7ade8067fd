// Goal: the CUDA backend keeps the contract of backends (cuda-sim: its kernels on the simulator).
// Method: the contract suite with the reference backend as the oracle.
import { test } from "bun:test"
import backendCuda from "@powerinfer/backend-cuda"
import { backendContract } from "@powerinfer/core/testing"
import { oracle } from "../../../support/plans.ts"

backendContract({ test, plugin: backendCuda, options: { simulated: true }, oracle })
