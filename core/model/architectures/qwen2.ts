// qwen2: llama with rope by halves and biases on q, k and v.
import type { Architecture } from "../architecture.ts"
import { llama } from "./llama.ts"

export const qwen2: Architecture = { ...llama, name: "qwen2", positions: "halves" }
