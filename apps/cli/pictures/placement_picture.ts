// Who lives where? Every block a strip of its neurons, coloured by device.
import { axisX, axisY, dot, type Markish, rect, text } from "@observablehq/plot"
import { hottestFirst, lowestFirst, type PlacedModel } from "powerinfer"
import { formatRate, formatShare } from "../quantities.ts"
import { plotSvg } from "./plot_svg.ts"

/** Told apart by eyes of all kinds: Observable's palette. */
const colours = ["#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#3ca951", "#ff8ab7", "#a463f2", "#97bbf5", "#9c6b4e"]

/** Rectangles of one picture: viewers are slow with more. */
const cellCountMax = 12_000
const columnCountMax = 300

/** A piece of a strip: neurons [from, to) as shares of the block, of which a device has the part between low and high. */
interface Piece {
  readonly block: number
  readonly device: number
  readonly from: number
  readonly to: number
  readonly low: number
  readonly high: number
}

/**
 * A strip of every block, in columns of as many neurons as the picture has room for; where several devices share a column, each has its part of the height.
 *
 * - `order`  neurons from left to right: those that fire most often first, or by id
 */
export const placementPieces = (
  { owners, frequencies, file: { devices } }: PlacedModel,
  order: "frequency" | "id"
): ReadonlyArray<Piece> => {
  const columnCount = Math.max(1, Math.min(columnCountMax, Math.floor(cellCountMax / (owners.length * devices.length))))
  return owners.flatMap((block, index) => {
    const neurons = order === "id" ? lowestFirst(block.length) : hottestFirst(frequencies[index]!)
    const columns = Math.min(columnCount, block.length)
    const pieces: Array<Piece> = []
    for (let column = 0; column < columns; column++) {
      const [begin, end] = [column, column + 1].map((edge) => Math.round((edge * block.length) / columns))
      const inColumn = neurons.slice(begin!, end!)
      let low = 0
      for (const device of devices.keys()) {
        const share = inColumn.filter((neuron) => block[neuron] === device).length / inColumn.length
        if (share === 0) continue
        const high = low + share
        const last = pieces.at(-1)
        // Whole columns of one device beside each other are one piece.
        if (share === 1 && last?.device === device && last.low === 0 && last.high === 1) {
          pieces[pieces.length - 1] = { ...last, to: end! / block.length }
        } else {
          pieces.push({ block: index, device, from: begin! / block.length, to: end! / block.length, low, high })
        }
        low = high
      }
    }
    return pieces
  })
}

/** A whole SVG document. */
export const placementPicture = (placed: PlacedModel, order: "frequency" | "id"): string => {
  const { file, owners, loads, prediction } = placed
  const rowHeight = Math.max(6, Math.min(22, Math.round(640 / owners.length)))
  const colourOf = (device: number) => colours[device % colours.length]!
  const gap = owners.length > 40 ? 0.06 : 0.1
  const pieces = placementPieces(placed, order)
  const speed = prediction === undefined ? "" : ` · ${formatRate(prediction.tokensPerSecond)} tokens/s predicted`
  const [marginTop, marginLeft, width] = [84, 56, 860]
  const plotHeight = rowHeight * owners.length
  const legend = file.devices.map(({ name }, device) => ({
    device,
    label: `${name}${device === file.home ? ", home" : ""}: ${formatShare(loads[device]!.neuronShare)} of neurons, ${formatShare(loads[device]!.firingShare)} of firing`
  }))
  // One line of the legend for each device, as far as they go beside each other.
  const legendX = (index: number) => marginLeft + (index % 2) * 400
  const legendY = (index: number) => 44 + Math.floor(index / 2) * 18
  const legendRows = Math.ceil(legend.length / 2)
  const top = marginTop + (legendRows - 1) * 18
  const frame = { frameAnchor: "top-left" as const }
  const marks: Array<Markish> = [
    rect(pieces, {
      x1: "from",
      x2: "to",
      y1: (piece: Piece) => piece.block + gap + piece.low * (1 - 2 * gap),
      y2: (piece: Piece) => piece.block + gap + piece.high * (1 - 2 * gap),
      fill: (piece: Piece) => colourOf(piece.device),
      shapeRendering: "crispEdges"
    }),
    axisX({
      label: order === "id" ? "neurons of a block, by id" : "neurons of a block, those that fire most often first",
      labelAnchor: "center",
      labelArrow: "none",
      tickFormat: (share: number) => `${Math.round(share * 100)}%`,
      ticks: 10
    }),
    axisY(
      [...owners.keys()].filter((block) => owners.length <= 16 || block % Math.ceil(owners.length / 16) === 0),
      { y: (block: number) => block + 0.5, text: (block: number) => String(block), label: null, tickSize: 0 }
    ),
    text(["block"], { ...frame, dx: -10, dy: -16, textAnchor: "end", lineAnchor: "top" }),
    text([`${file.model.name} by ${file.policy.name}${speed}`], {
      ...frame,
      dx: 0,
      dy: -top + 14,
      fontSize: 15,
      fontWeight: "bold",
      textAnchor: "start",
      lineAnchor: "top"
    }),
    ...legend.flatMap(({ device, label }, index) => [
      dot([label], {
        ...frame,
        dx: legendX(index) - marginLeft + 6,
        dy: legendY(index) - top + 6,
        r: 6,
        symbol: "square",
        fill: colourOf(device)
      }),
      text([label], {
        ...frame,
        dx: legendX(index) - marginLeft + 18,
        dy: legendY(index) - top,
        textAnchor: "start",
        lineAnchor: "top"
      })
    ])
  ]
  return plotSvg({
    width,
    height: top + plotHeight + 46,
    marginTop: top,
    marginLeft,
    marginRight: 28,
    marginBottom: 46,
    x: { domain: [0, 1] },
    y: { domain: [owners.length, 0] },
    color: { type: "identity" },
    marks
  })
}
