// What do the ways of an experiment look like side by side?
import { dot, line, ruleX, ruleY, text, type PlotOptions } from "@observablehq/plot"
import type { ModelSummary, VariantSummary } from "powerinfer"
import { formatSmall } from "../evaluation_report.ts"
import { formatBytes, formatRate, formatShare } from "../quantities.ts"
import { plotSvg } from "./plot_svg.ts"

/** A chart, and what it shows. */
export interface Chart {
  /** For a file: "bytes". */
  readonly name: string
  readonly caption: string
  readonly svg: string
}

/** Readable on white and on black. */
const palette = [
  "#4269d0",
  "#e08a00",
  "#e5484d",
  "#2f9e8f",
  "#a463f2",
  "#c2589b",
  "#7a8699",
  "#8a6d3b",
  "#3ca951",
  "#00a2c7"
]

/** By the name of a predictor; the same in all charts of an experiment. */
export const colorsOf = (models: ReadonlyArray<ModelSummary>): ReadonlyMap<string, string> => {
  const names = [...new Set(models.flatMap(({ variants }) => variants.map(({ predictor }) => predictor.name)))]
  return new Map(names.map((name, index) => [name, palette[index % palette.length]!]))
}

/** Divergences below this are drawn on the floor: a logarithm has no zero. */
const floor = 1e-6

interface Drawing {
  readonly labels: ReadonlyMap<string, string>
  readonly colors: ReadonlyMap<string, string>
  /** Text in the colour of its surroundings, no ground; else black on white. */
  readonly embedded: boolean
}

/** Fidelity against bytes, fidelity against speed, precision against recall: those that there are figures for. */
export const comparisonCharts = (model: ModelSummary, drawing: Drawing): ReadonlyArray<Chart> => {
  const decoded = model.variants.filter(({ decode }) => decode !== undefined)
  const judged = model.variants.filter(
    ({ oracle, recall, precision }) => !oracle && recall !== undefined && precision !== undefined
  )
  return [
    ...(decoded.length > 0
      ? [
          {
            name: "bytes",
            caption:
              "What is lost for how many bytes read a token. The line joins what no other way beats; dashed: an oracle",
            svg: lossChart(decoded, drawing, {
              label: "MB read a token",
              of: ({ decode }) => decode!.bytesPerToken / 1e6,
              front: ({ onBytesFront }) => onBytesFront,
              withOracles: true,
              references: []
            })
          },
          {
            name: "speed",
            caption:
              "What is lost for how many tokens decoded a second. The line joins what no other way beats; dotted: the dense run",
            svg: lossChart(
              decoded.filter(({ oracle }) => !oracle),
              drawing,
              {
                label: "tokens decoded a second",
                of: ({ decode }) => decode!.tokensPerSecond.value,
                front: ({ onSpeedFront }) => onSpeedFront,
                withOracles: false,
                references: model.dense ? [model.dense.tokensPerSecond] : []
              }
            )
          }
        ]
      : []),
    ...(judged.length > 0
      ? [
          {
            name: "selection",
            caption: "How many of the firing neurons are selected, and how many of the selected fire",
            svg: selectionChart(judged, drawing)
          }
        ]
      : [])
  ]
}

type Named = ReturnType<typeof namesAt>[number]

interface LossAxis {
  readonly label: string
  readonly of: (variant: VariantSummary) => number
  readonly front: (variant: VariantSummary) => boolean
  readonly withOracles: boolean
  readonly references: ReadonlyArray<number>
}

const gates = [
  { loss: 0.005, name: "≤ transparent" },
  { loss: 0.03, name: "≤ good" },
  { loss: 0.1, name: "> reject" }
] as const

const lossChart = (variants: ReadonlyArray<VariantSummary>, drawing: Drawing, axis: LossAxis): string => {
  const { colors, labels } = drawing
  const loss = (value: number) => Math.max(value, floor)
  const oracles = variants.filter(({ oracle }) => oracle).sort((a, b) => axis.of(a) - axis.of(b))
  const ways = variants.filter(({ oracle }) => !oracle)
  const front = ways.filter(axis.front).sort((a, b) => axis.of(a) - axis.of(b))
  const ofLoss = ({ divergence }: VariantSummary) => loss(divergence.value)
  const color = ({ predictor }: VariantSummary) => colors.get(predictor.name)!
  const title = (variant: VariantSummary) => tooltip(variant, labels.get(variant.variant)!)
  const names = namesAt(ways, axis.front, (way) => `${axis.of(way).toPrecision(2)} ${ofLoss(way).toExponential(0)}`)
  const xs = variants.map(axis.of)
  const [low, high] = [Math.min(...xs, ...axis.references), Math.max(...xs, ...axis.references)]
  const margin = Math.max((high - low) * 0.08, high * 0.02)
  return draw(drawing, {
    height: 360,
    marginRight: 96,
    x: { label: `${axis.label} →`, domain: [low - margin, high + margin], grid: true },
    y: {
      label: "↑ KL divergence to the dense run, nats",
      type: "log",
      domain: [floor / 2, Math.max(1, ...variants.map(({ divergence }) => divergence.high * 1.5))],
      ticks: [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1],
      tickFormat: (value: number) =>
        value === floor ? "exact" : value < 1e-3 ? value.toExponential(0) : String(value),
      grid: true
    },
    marks: [
      ruleY(gates, { y: "loss", stroke: "currentColor", strokeOpacity: 0.35, strokeDasharray: "2,4" }),
      text(gates, {
        y: "loss",
        text: "name",
        frameAnchor: "right",
        dx: 92,
        textAnchor: "end",
        fontSize: 10,
        fillOpacity: 0.7
      }),
      ruleX(axis.references, { stroke: "currentColor", strokeDasharray: "1,3" }),
      ...(axis.withOracles
        ? [
            line(oracles, {
              x: axis.of,
              y: ofLoss,
              stroke: "currentColor",
              strokeOpacity: 0.6,
              strokeDasharray: "5,4"
            }),
            dot(oracles, { x: axis.of, y: ofLoss, r: 3, stroke: "currentColor", strokeOpacity: 0.6, title })
          ]
        : []),
      line(front, { x: axis.of, y: ofLoss, stroke: "currentColor", strokeOpacity: 0.5, strokeWidth: 1 }),
      ruleX(ways, {
        x: axis.of,
        y1: ({ divergence }: VariantSummary) => loss(divergence.low),
        y2: ({ divergence }: VariantSummary) => loss(divergence.high),
        stroke: color,
        strokeOpacity: 0.5
      }),
      dot(ways, {
        x: axis.of,
        y: ofLoss,
        r: 5,
        stroke: color,
        fill: (variant: VariantSummary) => (axis.front(variant) ? color(variant) : "none"),
        strokeWidth: 1.75,
        title
      }),
      text(names, {
        x: ({ variant }: Named) => axis.of(variant),
        y: ({ variant }: Named) => ofLoss(variant),
        text: "name",
        dy: -12,
        fill: ({ variant }: Named) => color(variant),
        fontWeight: 600,
        fontSize: 11
      }),
      ...(axis.withOracles
        ? [
            text(oracles.slice(-1), {
              x: axis.of,
              y: ofLoss,
              text: () => "oracle",
              dy: 14,
              fillOpacity: 0.7,
              fontSize: 11
            })
          ]
        : [])
    ]
  })
}

const selectionChart = (variants: ReadonlyArray<VariantSummary>, drawing: Drawing): string => {
  const { colors, labels } = drawing
  const color = ({ predictor }: VariantSummary) => colors.get(predictor.name)!
  const at = {
    x: ({ recall }: VariantSummary) => recall!.value,
    y: ({ precision }: VariantSummary) => precision!.value
  }
  const names = namesAt(
    variants,
    () => true,
    (one) => `${at.x(one).toFixed(2)} ${at.y(one).toFixed(2)}`
  )
  return draw(drawing, {
    height: 360,
    x: {
      label: "recall →",
      domain: [Math.min(0.5, ...variants.map(at.x)) - 0.02, 1.02],
      tickFormat: ".0%",
      grid: true
    },
    y: { label: "↑ precision", domain: [0, 1.05], tickFormat: ".0%", grid: true },
    marks: [
      dot(variants, {
        ...at,
        r: 5,
        stroke: color,
        fill: color,
        fillOpacity: 0.8,
        title: (variant: VariantSummary) => tooltip(variant, labels.get(variant.variant)!)
      }),
      text(names, {
        x: ({ variant }: Named) => at.x(variant),
        y: ({ variant }: Named) => at.y(variant),
        text: "name",
        dy: 14,
        textAnchor: "end",
        fill: ({ variant }: Named) => color(variant),
        fontWeight: 600,
        fontSize: 11
      })
    ]
  })
}

/** A name for one dot of each predictor, on the front if there is one: names on every dot would hide each other. Those of one place share it. */
const namesAt = (
  variants: ReadonlyArray<VariantSummary>,
  preferred: (variant: VariantSummary) => boolean,
  place: (variant: VariantSummary) => string
): ReadonlyArray<{ readonly variant: VariantSummary; readonly name: string }> => {
  const named = [...Map.groupBy(variants, ({ predictor }) => predictor.name).values()].map(
    (own) => own.find(preferred) ?? own[0]!
  )
  return [...Map.groupBy(named, place).values()].map((together) => ({
    variant: together[0]!,
    name: together.map(({ predictor }) => predictor.name).join(", ")
  }))
}

const tooltip = (variant: VariantSummary, label: string): string => {
  const { divergence, topAgreement, recall, precision, decode, oracle, fidelity } = variant
  return [
    oracle ? `${label}: a bound` : `${label}: ${fidelity}`,
    `KL divergence ${formatSmall(divergence.value)} (${formatSmall(divergence.low)} to ${formatSmall(divergence.high)})`,
    `same top token ${formatShare(topAgreement.value)}`,
    ...(recall && precision ? [`recall ${formatShare(recall.value)}, precision ${formatShare(precision.value)}`] : []),
    ...(decode ? [`${formatBytes(decode.bytesPerToken)} a token, ${formatShare(decode.activeShare)} of neurons`] : []),
    ...(decode && !oracle ? [`${formatRate(decode.tokensPerSecond.value)} tokens/s`] : [])
  ].join("\n")
}

const draw = ({ embedded }: Drawing, options: PlotOptions): string =>
  plotSvg({
    width: 640,
    marginLeft: 64,
    marginBottom: 44,
    ...options,
    ...(embedded && {
      style: {
        background: "transparent",
        color: "currentColor",
        fontFamily: "inherit",
        fontSize: "12px",
        maxWidth: "100%",
        height: "auto"
      }
    })
  })
