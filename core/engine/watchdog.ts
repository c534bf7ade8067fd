// Which plugin does the worker wait for, and has it waited too long?
import type { PluginCall } from "../plugin_host/guard.ts"

/** Watches one call of a plugin at a time, from outside the thread it runs in. */
export interface Watchdog {
  /** Waits for this call from now on; undefined: for none. */
  watch(call: PluginCall | undefined, timeoutMs: number): void
  /** A sign of life. */
  hear(): void
}

/** The worker itself notices an opening that waits; what is left for us is one that keeps the thread. Those it notices end first. */
const graceMs = 1000

/** - `onSilence`  called once for a call that gave no sign of life for `timeoutMs` and a little longer */
export const openWatchdog = (onSilence: (call: PluginCall, timeoutMs: number) => void): Watchdog => {
  let timer: ReturnType<typeof setTimeout> | undefined
  let restart = () => {}
  return {
    watch(call, timeoutMs) {
      clearTimeout(timer)
      restart = () => {
        clearTimeout(timer)
        if (call) timer = setTimeout(() => onSilence(call, timeoutMs), timeoutMs + graceMs)
      }
      restart()
    },
    hear: () => restart()
  }
}
