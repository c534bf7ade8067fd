// What can be typed after `powerinfer place`?
import * as Schema from "effect/Schema"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import { batchRows, count } from "./flag_values.ts"
import { ctxFlag, jsonFlag, kvTypeFlag, modelArgument, optional, optionalFile } from "./flags.ts"
import { lazily } from "./lazily.ts"

export const placeCommand = Command.make(
  "place",
  {
    model: modelArgument,
    policy: Flag.String("policy").pipe(
      Flag.withMetavar("NAME[:OPTIONS]"),
      Flag.withDescription(
        "A placement of powerinfer plugin list, a path or a package; --profile and what is said of the predictor are passed on where it takes them; absent: makespan"
      ),
      Flag.withDefault("makespan")
    ),
    profile: optionalFile("profile", "An activation profile (powerinfer profile); absent: every neuron fires alike"),
    devices: Flag.String("devices").pipe(
      Flag.withMetavar("FILE|here"),
      Flag.withDescription("A device file, or here: the backends of this machine, measured; absent: here"),
      Flag.withDefault("here")
    ),
    backend: Flag.String("backend").pipe(
      Flag.withMetavar("NAME[:OPTIONS]"),
      Flag.between(0, 64),
      Flag.withDescription(
        "With --devices here: a device; may be repeated; absent: a GPU where one answers, and the cpu"
      )
    ),
    calibrate: Flag.Boolean("calibrate").pipe(
      Flag.withDescription(
        "With --devices here: run the model for a moment on each device, to fit what is predicted; --no-calibrate measures memory only; absent: yes"
      ),
      Flag.withDefault(true)
    ),
    saveDevices: optionalFile("save-devices", "Write the devices with what was measured, as a device file"),
    ctx: ctxFlag,
    kvType: kvTypeFlag,
    batch: optional(
      Flag.Int("batch").pipe(Flag.withSchema(batchRows), Flag.withDescription("Most tokens of one forward pass"))
    ),
    predictorBytes: Flag.Int("predictor-bytes").pipe(
      Flag.withSchema(count(0, Number.MAX_SAFE_INTEGER)),
      Flag.withDescription("Weights of the predictor: kept on the home, and read for every token; absent: 0"),
      Flag.withDefault(0)
    ),
    proposes: optional(
      Flag.Literals("proposes", ["every", "some"]).pipe(
        Flag.withDescription("Does the predictor name some neurons, or every one? Absent: every")
      )
    ),
    confirms: optional(
      Flag.Boolean("confirms").pipe(
        Flag.withDescription(
          "Is the rest of a neuron read only if its gate makes no zero? Absent: of every neuron proposed, where the model can be sparse"
        )
      )
    ),
    candidates: optional(
      Flag.Finite("candidates").pipe(
        Flag.withSchema(Schema.Finite.check(Schema.isBetween({ minimum: 0, maximum: 1 }))),
        Flag.withDescription("Share of neurons that are proposed; absent: those that fire")
      )
    ),
    out: optionalFile("out", "Write the plan, for the placement plan_file"),
    svg: optionalFile("svg", "Draw who lives where"),
    order: optional(
      Flag.Literals("order", ["frequency", "id"]).pipe(
        Flag.withDescription("Of the neurons in the picture; absent: by frequency where there is a profile, else by id")
      )
    ),
    json: jsonFlag
  },
  lazily(async () => (await import("./commands/place.ts")).place)
).pipe(
  Command.withDescription(
    "Decide which device holds which neurons: a plan, the tokens a second that it should bring, a picture of who lives where"
  ),
  Command.withExamples([
    {
      command: "powerinfer place model.gguf --profile profile.json --out plan.json --svg plan.svg",
      description: "For this machine, measured"
    },
    {
      command: "powerinfer place model.gguf --profile profile.json --policy ilp:group=64 --devices rtx4090.json",
      description: "For a machine that is not here, by PowerInfer's integer program"
    }
  ])
)
