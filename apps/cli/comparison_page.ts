// How does the report of an experiment become one page that needs nothing else?
import { basename } from "node:path"
import { comparisonColumns, denseLine } from "./comparison_table.ts"
import { type Comparison, comparisonNotes, provenanceLines, refusedLines } from "./comparison_markdown.ts"

/** Of a text that stands between tags or in an attribute. */
const escapeHtml = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;")

const style = `
:root { color-scheme: light dark; --ground: #fff; --text: #1b1f24; --quiet: #5b6570; --rule: #d9dee3; --front: #eaf3ff }
@media (prefers-color-scheme: dark) {
  :root { --ground: #14171a; --text: #e6e9ec; --quiet: #9aa4ae; --rule: #2f363d; --front: #17273b }
}
body { margin: 0 auto; max-width: 1360px; padding: 2rem 1.5rem 4rem; background: var(--ground); color: var(--text); font: 15px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.6rem } h2 { margin: 2.5rem 0 .5rem; font-size: 1.2rem } p { margin: .4rem 0 }
.quiet, figcaption, footer { color: var(--quiet) } figcaption { font-size: .85rem }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(560px, 100%), 1fr)); gap: 1.5rem; margin: 1rem 0 }
figure { margin: 0; min-width: 0 } figure svg { --plot-background: var(--ground); width: 100%; height: auto }
.scroll { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; font-variant-numeric: tabular-nums; white-space: nowrap }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: right } th { font-weight: 600; vertical-align: bottom; cursor: help }
th:first-child, td:first-child { position: sticky; left: 0; background: var(--ground); text-align: left } td:first-child { font-weight: 600 }
tr.front td { background: var(--front) } tr.bound td { color: var(--quiet); font-style: italic }
.swatch { display: inline-block; width: .7em; height: .7em; margin-right: .5em; border-radius: 50% }
footer { margin-top: 3rem; border-top: 1px solid var(--rule); font-size: .85rem }
`.trim()

/** Opens from a file as from a server: no script, no font, no picture from elsewhere. */
export const comparisonPage = (comparison: Comparison, colors: ReadonlyMap<string, string>): string => {
  const { name, setting, models, refused } = comparison
  const list = (lines: ReadonlyArray<string>) =>
    `<ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join("")}</ul>`
  return [
    "<!doctype html>",
    `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">`,
    `<title>${escapeHtml(name)}</title><style>\n${style}\n</style></head><body>`,
    `<h1>${escapeHtml(name)}</h1><p class="quiet">${escapeHtml(setting)}</p>`,
    ...models.map((_, index) => modelSection(comparison, index, colors)),
    ...(refused.length > 0 ? [`<h2>Not run</h2>${list(refusedLines(refused))}`] : []),
    `<footer>${list([...comparisonNotes, ...provenanceLines(models)])}</footer>`,
    "</body></html>",
    ""
  ].join("\n")
}

const modelSection = ({ models, charts, labels }: Comparison, index: number, colors: ReadonlyMap<string, string>) => {
  const model = models[index]!
  const figures = charts[index]!.map(
    ({ svg, caption }) => `<figure>${svg.trim()}<figcaption>${escapeHtml(caption)}.</figcaption></figure>`
  )
  const head = comparisonColumns.map(({ title, help }) => `<th title="${escapeHtml(help)}">${escapeHtml(title)}</th>`)
  const rows = model.variants.map((variant) => {
    const cells = comparisonColumns.map(({ cell }, column) => {
      const text = escapeHtml(cell(variant, labels.get(variant.variant)!))
      const swatch = `<span class="swatch" style="background: ${colors.get(variant.predictor.name)!}"></span>`
      return `<td>${column === 0 ? swatch : ""}${text}</td>`
    })
    const kind = variant.oracle ? "bound" : variant.onBytesFront || variant.onSpeedFront ? "front" : ""
    return `<tr${kind && ` class="${kind}"`}>${cells.join("")}</tr>`
  })
  return [
    `<section><h2>${escapeHtml(basename(model.file))}</h2>`,
    `<p>${escapeHtml(denseLine(model))}</p>`,
    `<div class="charts">${figures.join("\n")}</div>`,
    `<div class="scroll"><table><thead><tr>${head.join("")}</tr></thead><tbody>`,
    ...rows,
    "</tbody></table></div></section>"
  ].join("\n")
}
