// Goal: the table and the JSON of a profile say per token what was measured in total.
// Method: a made-up profile with round numbers.
import { expect, test } from "bun:test"
import type { Profile } from "@powerinfer/core"
import { profileJson, profileText } from "../../../apps/cli/profile_report.ts"

const nothing = { batchCount: 0, rowCount: 0, seconds: 0, stages: [] }
const profile: Profile = {
  prefill: nothing,
  decode: {
    batchCount: 4,
    rowCount: 4,
    seconds: 0.08,
    stages: [
      { stage: "logits", callCount: 4, seconds: 0.06, bytes: 12e8 },
      { stage: "rest", callCount: 4, seconds: 0.02, bytes: 0 }
    ]
  }
}

test("profileText() shows milliseconds and bytes a token, shares, and the sum; a phase without batches is left out", () => {
  expect(profileText(profile)).toBe(
    [
      "decode, 4 tokens in 4 batches",
      "",
      "| stage  | calls | ms a token |  share | read a token |  read/s |",
      "|--------|------:|-----------:|-------:|-------------:|--------:|",
      "| logits |     4 |     15.000 |  75.0% |       300 MB | 20.0 GB |",
      "| rest   |     4 |      5.000 |  25.0% |              |         |",
      "| all    |     4 |     20.000 | 100.0% |       300 MB | 15.0 GB |"
    ].join("\n")
  )
})

test("profileJson() has the same figures unrounded", () => {
  expect(profileJson(profile)).toEqual({
    decode: {
      batches: 4,
      tokens: 4,
      seconds: 0.08,
      ms_per_token: 20,
      stages: [
        {
          stage: "logits",
          calls: 4,
          seconds: 0.06,
          ms_per_token: 15,
          share: 0.75,
          bytes_per_token: 3e8,
          bytes_per_s: 2e10
        },
        { stage: "rest", calls: 4, seconds: 0.02, ms_per_token: 5, share: 0.25, bytes_per_token: 0, bytes_per_s: 0 }
      ]
    }
  })
})
