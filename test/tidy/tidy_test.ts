// Goal: the whole tree keeps the rules of the house.
// Method: every rule over every file that git tracks or would track.
import { expect, test } from "bun:test"
import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { rules } from "./rules.ts"
import type { Files } from "./source_scan.ts"

const root = join(import.meta.dir, "..", "..")

/** Model files are large and binary: their names count, their contents do not. */
const readText = (path: string): string => (/\.(gguf|bin)$/.test(path) ? "" : readFileSync(join(root, path), "utf8"))

const listed = Bun.spawnSync(["git", "ls-files", "-co", "--exclude-standard", "-z"], { cwd: root })
const paths = listed.stdout.toString().split("\0")
// A file deleted but not yet committed is still listed.
const files: Files = new Map(
  paths.filter((path) => path !== "" && existsSync(join(root, path))).map((path) => [path, readText(path)])
)

test("the tree has been found", () => {
  expect(listed.success).toBe(true)
  expect(files.has("package.json")).toBe(true)
  expect(files.has("test/tidy/tidy_test.ts")).toBe(true)
})

for (const [sentence, rule] of Object.entries(rules)) {
  test(sentence, () => {
    expect(rule(files)).toEqual([])
  })
}
