// How much does a function allocate each time it is called? What a token loop must not do shows in no result.

/** What one call leaves on the heap of the JavaScript engine, garbage included. All zero: nothing. */
export interface Allocation {
  /** The storage of large typed arrays, which lies outside the heap, is not counted. */
  readonly bytes: number
  /** Where the engine counts them. */
  readonly objects?: number
}

/** A heap that can be asked. */
interface Heap {
  readonly measure: (run: () => void) => Allocation
}

/** Whether this runtime says what is on its heap. */
export const measuresAllocation = (): boolean => findHeap() !== undefined

/**
 * What one call of `run` allocates once it has been compiled. Calls it thousands of times, synchronously.
 *
 * - returns  undefined where the runtime does not say (`measuresAllocation`)
 * - method   the least of several windows of calls: what the runtime itself allocates now and then is not in all of them
 * - limits   JavaScriptCore counts objects, and a window of fewer than 32 counts as none; V8 counts bytes, and fewer than 8 a call are none
 */
export const measureAllocation = (run: () => void): Allocation | undefined => findHeap()?.measure(run)

const windowCount = 5
/** A slow function is measured by fewer calls. */
const windowMs = 30

const findHeap = (): Heap | undefined => {
  const { versions } = process
  if (versions.bun !== undefined) return jscHeap(process.getBuiltinModule("bun:jsc") as JscModule)
  return versions.v8 !== undefined ? v8Heap : undefined
}

/** Calls until it has been compiled; returns how many calls make a window. */
const warmUp = (run: () => void, callCountMax: number): number => {
  const start = performance.now()
  let calls = 0
  let elapsed = 0
  while (calls < 4000 && (calls < 64 || elapsed < 4 * windowMs)) {
    run()
    calls++
    elapsed = performance.now() - start
  }
  return Math.min(callCountMax, Math.max(64, Math.floor((windowMs * calls) / elapsed)))
}

/** The part of `bun:jsc` that is used here. */
interface JscModule {
  readonly fullGC: () => number
  readonly gcAndSweep: () => number
  /** Of what was alive at the last collection: it changes when there is another. */
  readonly heapSize: () => number
  readonly heapStats: () => {
    readonly heapCapacity: number
    readonly objectTypeCounts: Readonly<Record<string, number>>
  }
}

/** An object too few of these is noise of the runtime's own. */
const jscNoise = 32

/** JavaScriptCore counts every object that lies on its heap, dead ones too until they are collected. */
const jscHeap = (jsc: JscModule): Heap => {
  const window = (run: () => void, callCount: number) => {
    // An empty nursery: only who allocates fills it.
    jsc.fullGC()
    const before = jsc.heapStats()
    const size = jsc.heapSize()
    for (let call = 0; call < callCount; call++) run()
    const collected = jsc.heapSize() !== size
    const after = jsc.heapStats()
    return { collected, objects: countObjects(after) - countObjects(before) }
  }
  const windows = (run: () => void, callCount: number, length = windowCount) =>
    Array.from({ length }, () => window(run, callCount))

  const measure = (run: () => void): Allocation => {
    let callCount = warmUp(run, 2000)
    const ownObjects = least(windows(() => {}, 0, 2).map(({ objects }) => objects))
    let measured = windows(run, callCount)
    let noise = jscNoise
    // A collection hides what came before it, but nobody causes one who does not allocate.
    while (measured.some(({ collected }) => collected) && callCount > 1) {
      noise = 0
      callCount = Math.max(1, callCount >> 2)
      measured = windows(run, callCount)
    }
    const objects = least(measured.map((one) => one.objects)) - ownObjects
    if (objects <= noise) return noise === 0 ? { objects: 1, bytes: leastObjectBytes } : { objects: 0, bytes: 0 }
    const perCall = objects / callCount
    return { objects: perCall, bytes: Math.max(leastObjectBytes * perCall, heapGrowth(jsc, run, callCount)) }
  }
  return { measure }
}

/** An object's header and nothing in it. */
const leastObjectBytes = 16

/** What the engine makes for itself: compiled code, and the shapes of objects (those of its own answer here among them). */
const ofTheEngine =
  /^(Structure|StructureChain|StructureRareData|PropertyTable|SymbolTable)$|CodeBlock|Executable|Watchpoint/

const countObjects = ({ objectTypeCounts }: ReturnType<JscModule["heapStats"]>): number => {
  let count = 0
  for (const type in objectTypeCounts) if (!ofTheEngine.test(type)) count += objectTypeCounts[type]!
  return count
}

const growthSections = 6

/** Bytes a call by how the heap grows, block by block, once the room in blocks that it has is used up; 0 where it never is. */
const heapGrowth = (jsc: JscModule, run: () => void, callCount: number): number => {
  // Swept as well, so that blocks nobody lives in are given back and do not hide what comes.
  jsc.gcAndSweep()
  const size = jsc.heapSize()
  let capacity = jsc.heapStats().heapCapacity
  let perCall = 0
  for (let section = 0; section < growthSections; section++) {
    for (let call = 0; call < 4 * callCount; call++) run()
    const grown = jsc.heapStats().heapCapacity
    if (jsc.heapSize() !== size) break
    perCall = Math.max(perCall, (grown - capacity) / (4 * callCount))
    capacity = grown
  }
  return perCall
}

/** Bytes a call that are noise of V8's own: less than a number in a box. */
const v8Noise = 8

/** V8 says to the byte how much of its heap is in use; a collection in a window makes that window useless. */
const v8Heap: Heap = {
  measure: (run) => {
    const most = warmUp(run, 500)
    const whole = v8Growth(run, most)
    if (whole.typical / most < v8Noise && !whole.collected) return { bytes: 0 }
    // Somebody allocates. The fewer calls, the fewer of their bytes have been collected when they are counted.
    const own = v8Growth(() => {}, 0).typical
    let bytes = v8Noise
    for (let callCount = most; callCount >= 1; callCount >>= 2) {
      bytes = Math.max(bytes, (v8Growth(run, callCount).typical - own) / callCount)
    }
    return { bytes }
  }
}

/** The upper quartile of what windows of calls add, and whether the heap shrank in so many that it is no chance. */
const v8Growth = (run: () => void, callCount: number) => {
  const growths = Array.from({ length: 2 * windowCount + 1 }, () => {
    const before = process.memoryUsage().heapUsed
    for (let call = 0; call < callCount; call++) run()
    return process.memoryUsage().heapUsed - before
  }).sort((a, b) => a - b)
  return { typical: growths[Math.floor(0.75 * growths.length)]!, collected: growths[windowCount >> 1]! < 0 }
}

const least = (values: ReadonlyArray<number>): number => Math.min(...values)
