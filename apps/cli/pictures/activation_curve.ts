// What does the power law of a model look like? How much of all firing the most frequent neurons do, block by block.
import { line, lineY, link, ruleX, ruleY, text } from "@observablehq/plot"
import { type ActivationProfile, byFrequency } from "powerinfer"
import { plotSvg } from "./plot_svg.ts"

/** Points of a curve: more are not seen. */
const pointCount = 200

interface Point {
  readonly block: string
  readonly neurons: number
  readonly activations: number
}

/** The curve of some neurons in percent, from (0, 0) to (100, 100). */
const curveOf = (block: string, counts: ReadonlyArray<number>): ReadonlyArray<Point> => {
  const ordered = Array.from(byFrequency(counts), (neuron) => counts[neuron]!)
  const all = ordered.reduce((sum, count) => sum + count, 0)
  const sums = [0]
  for (const count of ordered) sums.push(sums.at(-1)! + count)
  return Array.from({ length: pointCount + 1 }, (_, point) => {
    const at = Math.round((point / pointCount) * counts.length)
    return { block, neurons: (100 * at) / counts.length, activations: all === 0 ? 0 : (100 * sums[at]!) / all }
  })
}

/** A whole SVG document. */
export const activationCurve = (profile: ActivationProfile): string => {
  const names = profile.blocks.map((_, index) => `block ${index}`)
  const curves = profile.blocks.flatMap(({ firingCounts }, index) => curveOf(names[index]!, firingCounts))
  const whole = curveOf(
    "all",
    profile.blocks.flatMap(({ firingCounts }) => firingCounts)
  )
  const hot = whole.find(({ activations }) => activations >= 80)
  // Blocks of large models are many: the ends of the list say which colour is which.
  const labelled = names.length <= 12 ? names : [names[0]!, names.at(-1)!]
  const legend = labelled.map((name, row) => ({ name, x: 78, y: 6 + 4.5 * (labelled.length - 1 - row) }))
  return plotSvg({
    width: 720,
    height: 520,
    marginTop: 64,
    marginLeft: 56,
    marginBottom: 48,
    x: { domain: [0, 100], label: "neurons, most frequent first (%)", grid: true, labelAnchor: "center" },
    y: { domain: [0, 100], label: "share of all activations (%)", grid: true, labelAnchor: "center" },
    color: { type: "ordinal", domain: names, scheme: "viridis" },
    marks: [
      ruleX([0]),
      ruleY([0]),
      link([{ x1: 0, y1: 0, x2: 100, y2: 100 }], {
        x1: "x1",
        y1: "y1",
        x2: "x2",
        y2: "y2",
        stroke: "#bbb",
        strokeDasharray: "4 4"
      }),
      line(curves, { x: "neurons", y: "activations", stroke: "block", strokeWidth: 1.5 }),
      lineY(whole, { x: "neurons", y: "activations", stroke: "black", strokeWidth: 2.5 }),
      ...(hot
        ? [
            link([hot], {
              x1: "neurons",
              x2: "neurons",
              y1: 0,
              y2: "activations",
              stroke: "black",
              strokeDasharray: "2 3"
            }),
            text([hot], {
              x: "neurons",
              y: () => 4,
              text: () => `${Math.round(hot.neurons)}% of the neurons make 80%`,
              textAnchor: "start",
              dx: 8
            })
          ]
        : []),
      link(legend, { x1: (d) => d.x, x2: (d) => d.x + 5, y1: "y", y2: "y", stroke: "name", strokeWidth: 3 }),
      text(legend, { x: (d) => d.x + 6, y: "y", text: "name", textAnchor: "start" }),
      text([`${profile.model.name}: which neurons do the firing`], {
        frameAnchor: "top-left",
        dy: -48,
        dx: -44,
        fontSize: 15,
        fontWeight: "bold"
      }),
      text([`${profile.tokenCount} tokens; black: all blocks together; dashed: all neurons alike`], {
        frameAnchor: "top-left",
        dy: -30,
        dx: -44
      })
    ]
  })
}
