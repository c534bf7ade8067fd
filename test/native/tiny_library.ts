// Which C compiler do these tests have, and how do they make a library with it?
import { afterAll } from "bun:test"
import { spawnSync } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"

/** A C compiler, or null: tests that need one are then skipped. */
export const compiler = Bun.which("cc") ?? Bun.which("gcc") ?? Bun.which("clang")

/** An empty directory for a test file, removed after its last test. */
export const scratch = (name: string): string => {
  const directory = mkdtempSync(join(tmpdir(), `powerinfer-${name}-`))
  afterAll(() => rmSync(directory, { recursive: true }))
  return directory
}

/** Compiles `source` into a shared library and returns its path. */
export const compileLibrary = (directory: string, name: string, source: string): string => {
  const from = join(directory, `${name}.c`)
  const library = join(directory, `lib${name}.so`)
  writeFileSync(from, source)
  const { status, stderr } = spawnSync(compiler!, ["-shared", "-fPIC", from, "-o", library], { encoding: "utf8" })
  if (status !== 0) throw new Error(stderr)
  return library
}
