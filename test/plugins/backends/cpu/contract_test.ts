// Goal: the CPU backend keeps the contract of backends on every instruction set that this machine runs.
// Method: the contract suite with the reference backend as the oracle.
import { test } from "bun:test"
import backendCpu from "@powerinfer/backend-cpu"
import { backendContract, toleratingCodes } from "@powerinfer/core/testing"
import { oracle } from "../../../support/plans.ts"
import { onEachIsa } from "./each_isa.ts"

// Errors that the tolerance of codes leaves room for are the subject of isa_test.ts.
onEachIsa((isa) =>
  backendContract({ test, plugin: backendCpu, options: { isa, threads: 2 }, oracle, tolerance: toleratingCodes })
)
