// Which functions of libpowerinfer does this backend call?

import { mapFileSymbols, threadSymbols } from "@powerinfer/core"

/** Definitions of native/include/powerinfer.h, in its order. */
export const cpuSymbols = {
  powerinfer_machine_read: { args: ["buf"], ret: "i32" },
  ...mapFileSymbols,
  ...threadSymbols,
  powerinfer_model_open: { args: ["u32", "buf", "buf"], ret: "i32" },
  powerinfer_model_bind: { args: ["u32", "u32", "u32", "u32", "f64", "u32", "u32", "u32"], ret: "i32" },
  powerinfer_model_make_resident: { args: ["u32", "u32", "u32", "u32"], ret: "i32" },
  powerinfer_model_rope: { args: ["u32", "buf", "u32"], ret: "i32" },
  powerinfer_model_thresholds: { args: ["u32", "u32", "buf", "buf"], ret: "i32" },
  powerinfer_model_ready: { args: ["u32"], ret: "i32" },
  powerinfer_model_close: { args: ["u32"], ret: "i32" },
  powerinfer_repack_down_size: { args: ["u32", "u32", "u32", "buf"], ret: "i32" },
  powerinfer_repack_down: { args: ["u32", "u32", "f64", "u32", "u32", "u32", "buf", "u32", "f64"], ret: "i32" },
  powerinfer_cache_open: { args: ["u32", "u32", "u32", "buf"], ret: "i32" },
  powerinfer_cache_close: { args: ["u32"], ret: "i32" },
  powerinfer_embed: { args: ["u32", "buf", "u32"], ret: "i32" },
  powerinfer_attend: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_residual: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_ffn: { args: ["u32", "u32", "buf", "u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_ffn_selected: { args: ["u32", "u32", "buf", "u32", "u32", "u32", "buf"], ret: "i32" },
  powerinfer_merge: { args: ["u32", "u32", "buf"], ret: "i32" },
  powerinfer_activations: { args: ["u32", "u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_logits: { args: ["u32", "buf", "u32", "buf"], ret: "i32" },
  powerinfer_counters_read: { args: ["u32", "buf"], ret: "i32" },
  powerinfer_profile_start: { args: ["u32"], ret: "i32" },
  powerinfer_profile_read: { args: ["u32", "u32", "u32", "buf"], ret: "i32" }
} as const
