// How busy did other processes keep this machine while something was measured?
import { readFileSync } from "node:fs"

/**
 * Starts counting; the returned function says how many cores, on average since then, worked for others.
 *
 * - returns  undefined where the system does not say (it is read from Linux' /proc/stat)
 * - limits   seen from a container, the whole machine counts
 */
export const watchOtherLoad = (): (() => number | undefined) => {
  const start = { busySeconds: busySeconds(), ownSeconds: ownSeconds(), timeMs: performance.now() }
  return () => {
    const busy = busySeconds()
    if (busy === undefined || start.busySeconds === undefined) return undefined
    const others = busy - start.busySeconds - (ownSeconds() - start.ownSeconds)
    return Math.max(0, others / ((performance.now() - start.timeMs) / 1000))
  }
}

const ownSeconds = (): number => {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1e6
}

/** USER_HZ of every Linux that Bun runs on. */
const ticksPerSecond = 100

/** All cores: user, nice, system, irq and softirq, but not idle, waiting or stolen. Source: proc_stat(5). */
const busySeconds = (): number | undefined => {
  try {
    const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = readFileSync("/proc/stat", "utf8")
      .split("\n", 1)[0]!
      .split(/\s+/)
      .map(Number)
    return (user + nice + system + irq + softirq) / ticksPerSecond
  } catch {
    return undefined
  }
}
