// bamboo: llama's tensors with relu on both halves of the FFN, down · (relu(gate · x) ⊙ relu(up · x)).
//
// Source: SJTU-IPADS/PowerInfer, llama.cpp (LLM_ARCH_BAMBOO shares llama's graph, with LLM_FFN_SYM) and convert.py
// (q and k permuted as llama's).
import type { Architecture } from "../architecture.ts"
import { llama } from "./llama.ts"

export const bamboo: Architecture = { ...llama, name: "bamboo", activation: "relu", activatesUp: true }
