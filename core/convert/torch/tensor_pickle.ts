// Which tensor does the data.pkl of a torch.save describe? Read by a machine that knows what a tensor's pickle has, and nothing else.
//
// A pickle is a program. This one may build tuples, name three functions and types of torch's that are known here, and "call" the one that
// puts a tensor together, which only records what it was told: nothing is imported and nothing is run.
// Source: CPython, Lib/pickletools.py (protocol 2); PyTorch, torch/serialization.py and torch/_utils.py (_rebuild_tensor_v2).
import { ForeignFileInvalid } from "../conversion_error.ts"

/** Element types of torch's storages that can be counts or frequencies. */
export const storageTypes = {
  HalfStorage: 2,
  FloatStorage: 4,
  DoubleStorage: 8,
  IntStorage: 4,
  LongStorage: 8
} as const
export type StorageType = keyof typeof storageTypes

/** A tensor, and which elements of which storage it is. */
export interface PickledTensor {
  readonly storage: { readonly type: StorageType; readonly key: string; readonly elementCount: number }
  /** Elements before the first. */
  readonly offset: number
  readonly shape: ReadonlyArray<number>
  readonly strides: ReadonlyArray<number>
}

type Value =
  | { readonly is: "mark" | "none" | "dict" }
  | { readonly is: "number"; readonly value: number }
  | { readonly is: "text"; readonly value: string }
  | { readonly is: "bool"; readonly value: boolean }
  | { readonly is: "tuple"; readonly items: ReadonlyArray<Value> }
  | { readonly is: "global"; readonly name: string }
  | { readonly is: "storage"; readonly storage: PickledTensor["storage"] }
  | { readonly is: "tensor"; readonly tensor: PickledTensor }

const rebuildTensor = "torch._utils._rebuild_tensor_v2"
const orderedDict = "collections.OrderedDict"
const storageOf = (name: string): StorageType | undefined => {
  const type = name.replace(/^torch\./, "")
  return name.startsWith("torch.") && Object.hasOwn(storageTypes, type) ? (type as StorageType) : undefined
}

/** A tensor's pickle has some 150 bytes and nests four deep. */
const stackMax = 64
const memoMax = 256
const nameBytesMax = 256

/** Throws `ForeignFileInvalid` at anything that the pickle of one tensor does not have. */
export const readTensorPickle = (path: string, bytes: Uint8Array): PickledTensor => new Machine(path, bytes).run()

class Machine {
  readonly #path: string
  readonly #view: DataView
  readonly #stack: Array<Value> = []
  readonly #memo = new Map<number, Value>()
  #at = 0

  constructor(path: string, bytes: Uint8Array) {
    this.#path = path
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  run(): PickledTensor {
    for (;;) {
      const opcode = this.#view.getUint8(this.#take(1))
      if (opcode === 0x2e) break
      this.#step(opcode)
      if (this.#stack.length > stackMax) throw this.#invalid("its pickle nests too deep")
    }
    const [result, ...more] = this.#stack
    if (result?.is !== "tensor" || more.length > 0) throw this.#invalid("it holds something else than one tensor")
    return result.tensor
  }

  #step(opcode: number): void {
    const view = this.#view
    switch (opcode) {
      case 0x80: // PROTO
        if (view.getUint8(this.#take(1)) !== 2) throw this.#invalid("its pickle is not of protocol 2")
        return
      case 0x63: // GLOBAL
        return this.#push({ is: "global", name: this.#known(`${this.#line()}.${this.#line()}`) })
      case 0x71: // BINPUT
        return this.#remember(view.getUint8(this.#take(1)))
      case 0x72: // LONG_BINPUT
        return this.#remember(view.getUint32(this.#take(4), true))
      case 0x68: // BINGET
        return this.#recall(view.getUint8(this.#take(1)))
      case 0x6a: // LONG_BINGET
        return this.#recall(view.getUint32(this.#take(4), true))
      case 0x28: // MARK
        return this.#push({ is: "mark" })
      case 0x58: // BINUNICODE
        return this.#push({ is: "text", value: this.#text(view.getUint32(this.#take(4), true)) })
      case 0x4b: // BININT1
        return this.#push({ is: "number", value: view.getUint8(this.#take(1)) })
      case 0x4d: // BININT2
        return this.#push({ is: "number", value: view.getUint16(this.#take(2), true) })
      case 0x4a: // BININT
        return this.#push({ is: "number", value: view.getInt32(this.#take(4), true) })
      case 0x88: // NEWTRUE
      case 0x89: // NEWFALSE
        return this.#push({ is: "bool", value: opcode === 0x88 })
      case 0x4e: // NONE
        return this.#push({ is: "none" })
      case 0x29: // EMPTY_TUPLE
        return this.#push({ is: "tuple", items: [] })
      case 0x74: // TUPLE
        return this.#push({ is: "tuple", items: this.#popToMark() })
      case 0x85: // TUPLE1
      case 0x86: // TUPLE2
      case 0x87: // TUPLE3
        return this.#push({ is: "tuple", items: this.#pop(opcode - 0x84) })
      case 0x51: // BINPERSID
        return this.#push({ is: "storage", storage: this.#storage(this.#pop(1)[0]!) })
      case 0x52: // REDUCE
        return this.#push(this.#call(...(this.#pop(2) as [Value, Value])))
      default:
        throw this.#invalid(
          `its pickle has the opcode 0x${opcode.toString(16).padStart(2, "0")}, which no tensor needs`
        )
    }
  }

  #known(name: string): string {
    if (name === rebuildTensor || name === orderedDict || storageOf(name)) return name
    throw this.#invalid(`its pickle names ${name}, which no tensor of counts needs`)
  }

  /** ("storage", type, key, where it was, element count) */
  #storage(id: Value): PickledTensor["storage"] {
    const [tag, type, key, , count] = id.is === "tuple" ? id.items : []
    const storage = type?.is === "global" ? storageOf(type.name) : undefined
    if (tag?.is !== "text" || tag.value !== "storage" || storage === undefined || key?.is !== "text") {
      throw this.#invalid("its pickle refers to something else than a storage")
    }
    return { type: storage, key: key.value, elementCount: this.#natural(count) }
  }

  #call(callee: Value, argument: Value): Value {
    const items = argument.is === "tuple" ? argument.items : undefined
    if (callee.is === "global" && callee.name === orderedDict && items?.length === 0) return { is: "dict" }
    // storage, offset, shape, strides, requires_grad, hooks
    const [storage, offset, shape, strides, gradient, hooks, ...more] = items ?? []
    const isTensor =
      callee.is === "global" &&
      callee.name === rebuildTensor &&
      storage?.is === "storage" &&
      gradient?.is === "bool" &&
      hooks?.is === "dict" &&
      more.length === 0
    if (!isTensor) throw this.#invalid("its pickle calls something else than what puts a tensor together")
    return {
      is: "tensor",
      tensor: {
        storage: storage.storage,
        offset: this.#natural(offset),
        shape: this.#naturals(shape),
        strides: this.#naturals(strides)
      }
    }
  }

  #naturals(tuple: Value | undefined): ReadonlyArray<number> {
    if (tuple?.is !== "tuple") throw this.#invalid("its pickle gives a tensor no shape")
    return tuple.items.map((item) => this.#natural(item))
  }

  #natural(value: Value | undefined): number {
    if (value?.is === "number" && value.value >= 0) return value.value
    throw this.#invalid("its pickle has no number where a tensor needs one")
  }

  #push(value: Value): void {
    this.#stack.push(value)
  }

  #pop(count: number): ReadonlyArray<Value> {
    const items = this.#stack.splice(Math.max(0, this.#stack.length - count), count)
    if (items.length === count && items.every(({ is }) => is !== "mark")) return items
    throw this.#invalid("its pickle takes more than there is")
  }

  #popToMark(): ReadonlyArray<Value> {
    const mark = this.#stack.findLastIndex(({ is }) => is === "mark")
    if (mark < 0) throw this.#invalid("its pickle takes more than there is")
    return this.#stack.splice(mark).slice(1)
  }

  #remember(slot: number): void {
    const top = this.#stack.at(-1)
    if (top === undefined || slot >= memoMax) throw this.#invalid("its pickle remembers more than a tensor needs")
    this.#memo.set(slot, top)
  }

  #recall(slot: number): void {
    const value = this.#memo.get(slot)
    if (value === undefined) throw this.#invalid("its pickle recalls what it did not remember")
    this.#push(value)
  }

  #line(): string {
    const start = this.#at
    while (this.#view.getUint8(this.#take(1)) !== 0x0a) {
      if (this.#at - start > nameBytesMax) throw this.#invalid("its pickle has a name that is too long")
    }
    return this.#decode(start, this.#at - 1 - start)
  }

  #text(length: number): string {
    if (length > nameBytesMax) throw this.#invalid("its pickle has a text that is too long")
    return this.#decode(this.#take(length), length)
  }

  #decode(at: number, length: number): string {
    return new TextDecoder().decode(new Uint8Array(this.#view.buffer, this.#view.byteOffset + at, length))
  }

  /** Steps over bytes that are there and returns where they begin. */
  #take(length: number): number {
    const at = this.#at
    if (at + length > this.#view.byteLength) throw this.#invalid("its pickle is cut short")
    this.#at += length
    return at
  }

  #invalid(reason: string): ForeignFileInvalid {
    return new ForeignFileInvalid({ path: this.#path, reason })
  }
}
