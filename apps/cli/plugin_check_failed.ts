// How does `plugin check` say that a plugin does not keep its contract?
import * as Schema from "effect/Schema"

/** Some checks of the contract suite failed. What and why has been printed, in JSON too. */
export class PluginCheckFailed extends Schema.TaggedError<PluginCheckFailed>()("PluginCheckFailed", {
  kind: Schema.String,
  name: Schema.String,
  failed: Schema.Int,
  count: Schema.Int
}) {
  /** Standard output has the whole report with --json: nothing may follow. */
  readonly reported = true
  override get message() {
    const checks = `${this.failed} of ${this.count} checks`
    return `Cannot rely on the ${this.kind} ${this.name}: ${checks} of its contract failed; the lines marked ✗ say why`
  }
}
