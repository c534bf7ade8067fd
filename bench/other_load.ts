// How busy did other processes keep this machine while something was measured?
import { readFileSync } from "node:fs"

/**
 * Starts counting; the returned function says how many cores, on average since then, worked for others.
 *
 * - `ours`   ids of processes that belong to what is measured, beside this one
 * - returns  undefined where the system does not say (it is read from Linux' /proc/stat)
 * - limits   seen from a container, the whole machine counts; times come in hundredths of a second
 */
export const watchOtherLoad = (ours: ReadonlyArray<number> = []): (() => number | undefined) => {
  const start = { busySeconds: busySeconds(), ownSeconds: ownSeconds(ours), timeMs: performance.now() }
  return () => {
    const busy = busySeconds()
    if (busy === undefined || start.busySeconds === undefined) return undefined
    const others = busy - start.busySeconds - (ownSeconds(ours) - start.ownSeconds)
    return Math.max(0, others / ((performance.now() - start.timeMs) / 1000))
  }
}

const ownSeconds = (ours: ReadonlyArray<number>): number => {
  const { user, system } = process.cpuUsage()
  return ours.reduce((sum, id) => sum + processSeconds(id), (user + system) / 1e6)
}

/** USER_HZ of every Linux that Bun runs on. */
const ticksPerSecond = 100

/** 0 if there is no such process. */
const processSeconds = (id: number): number => {
  const text = readText(`/proc/${id}/stat`)
  return text === undefined ? 0 : secondsOfProcess(text)
}

/** User and system time of all threads of a process. Source: proc_pid_stat(5). */
export const secondsOfProcess = (stat: string): number => {
  // The second field is the program's name in brackets, and may itself hold brackets and spaces; the fields after it are counted from 3.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  return (Number(fields[14 - 3]) + Number(fields[15 - 3])) / ticksPerSecond
}

const busySeconds = (): number | undefined => {
  const text = readText("/proc/stat")
  return text === undefined ? undefined : secondsOfMachine(text)
}

/** All cores: user, nice, system, irq and softirq, but not idle, waiting or stolen. Source: proc_stat(5). */
export const secondsOfMachine = (stat: string): number => {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = stat.split("\n", 1)[0]!.split(/\s+/).map(Number)
  return (user + nice + system + irq + softirq) / ticksPerSecond
}

const readText = (path: string): string | undefined => {
  try {
    return readFileSync(path, "utf8")
  } catch {
    return undefined
  }
}
