// Goal: the backend keeps the contract of every backend: what it computes is what the reference computes.
import { test } from "bun:test"
import backendReference from "@powerinfer/backend-reference"
import { backendContract } from "@powerinfer/core/testing"
import plugin from "./mod.ts"

backendContract({ test, plugin, oracle: backendReference })
