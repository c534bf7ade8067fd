// How does a command say that its flags or arguments make no sense together?
import * as Schema from "effect/Schema"

/** Flags or arguments that each parse, but not what they say. */
export class InvalidUsage extends Schema.TaggedError<InvalidUsage>()("InvalidUsage", { reason: Schema.String }) {
  override get message() {
    return `Cannot run the command: ${this.reason}`
  }
}
