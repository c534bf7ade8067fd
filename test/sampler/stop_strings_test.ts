// Goal: no character of a stop string is ever shown, no other character is lost, and nothing is held back needlessly,
// however the text is cut into pieces.
// Method: property. Random texts over three letters, so that stop strings overlap and nest, against a matcher that sees the
// whole text and tries every end.
import { describe, expect, test } from "bun:test"
import { randomFromSeed } from "../../core/sampler/random.ts"
import { openStopStringMatcher } from "../../core/sampler/stop_strings.ts"

/** What may be shown of a text of which nothing more is known. */
const shownOf = (text: string, stops: ReadonlyArray<string>): { shown: string; stopped: boolean } => {
  for (let end = 1; end <= text.length; end++) {
    const starts = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => end - stop.length)
    if (starts.length > 0) return { shown: text.slice(0, Math.min(...starts)), stopped: true }
  }
  for (let start = 0; start < text.length; start++) {
    const rest = text.slice(start)
    if (stops.some((stop) => stop.startsWith(rest))) return { shown: text.slice(0, start), stopped: false }
  }
  return { shown: text, stopped: false }
}

for (let seed = 1; seed <= 300; seed++) {
  test(`openStopStringMatcher() shows the same for every way to cut the text (seed ${seed})`, () => {
    const random = randomFromSeed(seed)
    const below = (limit: number) => Math.floor(random.nextUniform() * limit)
    const letters = (length: number) => Array.from({ length }, () => "abc"[below(3)]!).join("")
    const stops = Array.from({ length: below(4) }, () => letters(1 + below(5)))
    const text = letters(below(40))

    const matcher = openStopStringMatcher(stops)
    let shown = ""
    for (let start = 0; start < text.length;) {
      const end = Math.min(text.length, start + below(6))
      const output = matcher.push(text.slice(start, end))
      shown += output.text
      const expected = shownOf(text.slice(0, end), stops)
      expect({ shown, stopped: output.stopped }).toEqual(expected)
      start = end
    }
    const whole = shownOf(text, stops)
    expect(shown + matcher.flush()).toBe(whole.stopped ? whole.shown : text)
  })
}

describe("openStopStringMatcher()", () => {
  test("holds back a begun stop string and lets it go when it turns out otherwise", () => {
    const matcher = openStopStringMatcher(["</s>"])
    expect(matcher.push("one </")).toEqual({ text: "one ", stopped: false })
    expect(matcher.push("b> two")).toEqual({ text: "</b> two", stopped: false })
  })

  test("swallows the stop string and all that follows it", () => {
    const matcher = openStopStringMatcher(["\n\n"])
    expect(matcher.push("end\n")).toEqual({ text: "end", stopped: false })
    expect(matcher.push("\nmore")).toEqual({ text: "", stopped: true })
    expect(matcher.push("more")).toEqual({ text: "", stopped: true })
    expect(matcher.flush()).toBe("")
  })

  test("gives back what was held when the generation ends otherwise, once", () => {
    const matcher = openStopStringMatcher(["User:"])
    expect(matcher.push("Ask the Use")).toEqual({ text: "Ask the ", stopped: false })
    expect(matcher.flush()).toBe("Use")
    expect(matcher.flush()).toBe("")
  })

  test("prefers the longest of two stop strings that end together", () => {
    expect(openStopStringMatcher(["stop", "full stop"]).push("a full stop.").text).toBe("a ")
  })

  test("shows everything at once when there are no stop strings", () => {
    expect(openStopStringMatcher([]).push("any")).toEqual({ text: "any", stopped: false })
  })

  test("keeps characters outside the basic plane whole", () => {
    const matcher = openStopStringMatcher(["😀😁"])
    expect(matcher.push("x😀")).toEqual({ text: "x", stopped: false })
    expect(matcher.push("😀")).toEqual({ text: "😀", stopped: false })
    expect(matcher.push("😁")).toEqual({ text: "", stopped: true })
  })
})
