// How can a plugin fail to be of use? One class a remedy.
import * as Schema from "effect/Schema"

/** The named plugin cannot be had: it is not there, its module does not load, its options are wrong. */
export class PluginUnavailable extends Schema.TaggedError<PluginUnavailable>()("PluginUnavailable", {
  kind: Schema.String,
  name: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `Cannot load the ${this.kind} ${this.name}: ${this.reason}`
  }
}

/** The plugin was written for another version of the engine, or its native code for another version of powerinfer_plugin.h. */
export class PluginIncompatible extends Schema.TaggedError<PluginIncompatible>()("PluginIncompatible", {
  kind: Schema.String,
  name: Schema.String,
  /** What it asks for, and what there is. */
  reason: Schema.String,
  update: Schema.Literals(["engine", "plugin"])
}) {
  override get message() {
    const remedy = this.update === "engine" ? "update the engine (powerinfer)" : `update the plugin (${this.name})`
    return `Cannot use the ${this.kind} ${this.name}: ${this.reason}; ${remedy}`
  }
}

/** The plugin broke its contract: it threw, hung, or answered with something that is no answer. */
export class PluginFault extends Schema.TaggedError<PluginFault>()("PluginFault", {
  kind: Schema.String,
  name: Schema.String,
  /** The function of its contract that was called. */
  call: Schema.String,
  reason: Schema.String
}) {
  override get message() {
    return `The ${this.kind} ${this.name} failed in ${this.call}: ${this.reason}; this is a defect of the plugin: report it to its author, or choose another ${this.kind}`
  }
}
