// What does a refusal of the native library mean to who opens a device?
import { BackendFailure, type NativeCallFailed, NotEnoughMemory, Status } from "@powerinfer/core"

/** The backend cannot be used, in words. */
export const backendFailure = (reason: string) => new BackendFailure({ backend: "cpu", reason })

/** Memory that the system refused after all, or whatever else went wrong, in the library's words. */
export const openFailure = (
  failed: NativeCallFailed,
  wanted: ConstructorParameters<typeof NotEnoughMemory>[0]
): BackendFailure | NotEnoughMemory =>
  failed.status === Status.outOfMemory ? new NotEnoughMemory(wanted) : backendFailure(failed.reason)
