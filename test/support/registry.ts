// How does a test install our packages the way a stranger does? A registry of its own, which has our tarballs and passes on every other question.
import { createHash } from "node:crypto"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { basename, join } from "node:path"

/** What npm is set up to install from; where there is no npm, nothing. */
const upstream = (): string => {
  const npm = Bun.which("npm")
  const configured = npm ? Bun.spawnSync([npm, "config", "get", "registry"]).stdout.toString().trim() : ""
  return configured.replace(/\/*$/, "")
}

/** What a package manager reads of one version. */
interface Version {
  readonly name: string
  readonly version: string
  readonly [field: string]: unknown
}

/** A registry that runs until `close`. */
export interface Registry {
  /** Of a process that is to install from here, into caches that nobody else has: our versions change without another number. */
  readonly environment: Readonly<Record<string, string>>
  readonly close: () => void
}

/** Whether the registry behind ours answers; without it nothing that needs other people's packages can be installed. */
export const reachesRegistry = async (): Promise<boolean> => {
  try {
    return (await fetch(`${upstream()}/effect`, { method: "HEAD", signal: AbortSignal.timeout(5_000) })).ok
  } catch {
    return false
  }
}

/** Serves the tarballs. Each must have a package.json with name and version. */
export const openRegistry = async (tarballs: ReadonlyArray<string>): Promise<Registry> => {
  const behind = upstream()
  const caches = mkdtempSync(join(tmpdir(), "powerinfer-registry-"))
  const files = new Map(tarballs.map((path) => [basename(path), readFileSync(path)]))
  const versions = new Map<string, Version & { readonly file: string }>()
  for (const [file, bytes] of files) {
    const manifest = await manifestOf(bytes)
    versions.set(manifest.name, { ...manifest, file })
  }

  const server: Bun.Server<undefined> = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async (request): Promise<Response> => {
      const path = decodeURIComponent(new URL(request.url).pathname).slice(1)
      const tarball = files.get(path.replace(/^tarballs\//, ""))
      if (tarball) return new Response(new Uint8Array(tarball))
      const ours = versions.get(path)
      if (ours) return Response.json(packument(ours, files.get(ours.file)!, server.url.href))
      return passOn(`${behind}/${path.replace("/", "%2f")}`, request)
    }
  })

  return {
    environment: {
      BUN_CONFIG_REGISTRY: server.url.href,
      npm_config_registry: server.url.href,
      BUN_INSTALL_CACHE_DIR: join(caches, "install"),
      TMPDIR: caches,
      BUN_TMPDIR: caches
    },
    close: () => {
      void server.stop(true)
      rmSync(caches, { recursive: true, force: true })
    }
  }
}

const manifestOf = async (tarball: Uint8Array): Promise<Version> => {
  const entries = await new Bun.Archive(tarball).files("package/package.json")
  return JSON.parse(await entries.get("package/package.json")!.text()) as Version
}

const packument = ({ file, ...version }: Version & { readonly file: string }, tarball: Uint8Array, url: string) => {
  const integrity = `sha512-${createHash("sha512").update(tarball).digest("base64")}`
  const dist = { tarball: `${url}tarballs/${file}`, integrity }
  return {
    name: version.name,
    "dist-tags": { latest: version.version },
    versions: { [version.version]: { ...version, dist } }
  }
}

/** Its answer, whose tarballs are at the other registry's addresses. */
const passOn = async (url: string, request: Request): Promise<Response> => {
  const accept = request.headers.get("accept") ?? "application/json"
  const { status, body, headers } = await fetch(url, { headers: { accept } })
  return new Response(body, { status, headers: { "content-type": headers.get("content-type") ?? "" } })
}
