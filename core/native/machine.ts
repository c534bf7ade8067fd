// What machine is this, as the native library sees it?
import * as Effect from "effect/Effect"
import type { NativeLibraryError } from "./library.ts"
import { loadPowerinfer, type Powerinfer } from "./powerinfer.ts"

/** POWERINFER_ISA_x of powerinfer.h: the index is the number. */
export const isaNames = ["auto", "scalar", "avx2", "avx512", "avx512_vnni"] as const

/** An instruction set kernels are written for. */
export type IsaName = (typeof isaNames)[number]

/** What this process may use of the machine it runs on. */
export interface Machine {
  /** Instruction sets this CPU runs, oldest first; never "auto". */
  readonly isas: ReadonlyArray<IsaName>
  /** Cores this process may use: affinity and cgroup quota respected. */
  readonly coreCount: number
  /** Physical memory, or the cgroup's limit where that is lower. */
  readonly memoryBytes: number
  /** What could be allocated now without swapping; the page cache counts as free. */
  readonly memoryAvailableBytes: number
}

/** What reading the machine needs, for who opens the library anyway. */
export const machineSymbols = {
  powerinfer_machine_read: { args: ["buf"], ret: "i32" }
} as const

/** sizeof(powerinfer_machine). */
const machineBytes = 32

/** Reads the machine through an open library. Costs microseconds. */
export const readMachineFrom = (native: Powerinfer<typeof machineSymbols>): Machine => {
  const machine = new DataView(new ArrayBuffer(machineBytes))
  machine.setUint32(0, machineBytes, true)
  native.check("powerinfer_machine_read", native.symbols.powerinfer_machine_read(machine))
  const isaMask = machine.getUint32(4, true)
  return {
    isas: isaNames.filter((name, isa) => name !== "auto" && ((isaMask >>> isa) & 1) === 1),
    coreCount: machine.getUint32(8, true),
    memoryBytes: machine.getFloat64(16, true),
    memoryAvailableBytes: machine.getFloat64(24, true)
  }
}

/** Reads the machine. */
export const readMachine: Effect.Effect<Machine, NativeLibraryError> = Effect.scoped(
  Effect.map(loadPowerinfer(machineSymbols), readMachineFrom)
)
