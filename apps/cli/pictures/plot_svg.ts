// How does a chart become an SVG file, without a browser?
import { plot, type PlotOptions } from "@observablehq/plot"
import { parseHTML } from "linkedom"

/** Charts have a white ground of their own: files are looked at on grounds of any colour. */
const style = { background: "white", color: "black", fontFamily: "system-ui, sans-serif", fontSize: "12px" }

/**
 * A chart as a whole SVG document. For charts without a legend, title or caption of Plot's own, which would be HTML: say them in marks.
 *
 * - dies  where the options make HTML of it
 */
export const plotSvg = (options: PlotOptions): string => {
  // Its type has a document only where there are types of a browser: under Bun, and not under Deno.
  const page: object = parseHTML("<html></html>")
  const chart = plot({
    style,
    ...options,
    document: Reflect.get(page, "document") as NonNullable<PlotOptions["document"]>
  })
  if (chart.tagName.toLowerCase() !== "svg") throw new Error("the options of this chart make HTML, not one SVG")
  chart.setAttribute("xmlns", "http://www.w3.org/2000/svg")
  return `${chart.outerHTML}\n`
}
