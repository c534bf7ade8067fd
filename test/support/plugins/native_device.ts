// A backend for tests whose device is the native library it is made with: native/test/plugins/backend.cc.
import { definePlugin, nativeDeviceFacts, openNativeDevice, type PluginKernels } from "@powerinfer/core"
import { Schema } from "effect"

/** The plugin, for a module of its own to export. */
export const nativeDevice = (module: string, library: string) => {
  const kernels: PluginKernels = { candidates: [library], build: "c++" }
  return definePlugin({
    kind: "backend",
    name: "native_device",
    version: "0.1.0",
    engine: "^0.1.0",
    module,
    kernels,
    options: Schema.Struct({ fails: Schema.optionalKey(Schema.String) }),
    facts: () => nativeDeviceFacts(kernels),
    open: (options, context) => openNativeDevice(kernels, context, { options })
  })
}
