// Goal: charts come out as SVG documents that any viewer opens.
// Method: a small chart, looked at as XML text.
import { expect, test } from "bun:test"
import { dot, lineY } from "@observablehq/plot"
import { plotSvg } from "../../../apps/cli/pictures/plot_svg.ts"

test("plotSvg() makes one document with its namespace", () => {
  const svg = plotSvg({ marks: [lineY([1, 2, 4]), dot([[1, 2]], { title: () => "a < b" })] })
  expect(svg).toStartWith("<svg ")
  expect(svg).toContain('xmlns="http://www.w3.org/2000/svg"')
  expect(svg).toContain("<title>a &lt; b</title>")
  expect(svg.trimEnd()).toEndWith("</svg>")
})

test("plotSvg() refuses options that would make HTML", () => {
  expect(() => plotSvg({ title: "a title", marks: [lineY([1, 2])] })).toThrow("not one SVG")
})
