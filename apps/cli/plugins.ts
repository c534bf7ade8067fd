// Which plugins come with powerinfer?
import type { Plugin, PluginKind } from "powerinfer"

/** Imports a plugin's module, whose default export it is. */
export type LoadPlugin = () => Promise<{ readonly default: Pick<Plugin, "kind" | "name" | "module"> }>

/** The plugins that come with powerinfer. */
export const firstParty: { readonly [Kind in PluginKind]: Readonly<Record<string, LoadPlugin>> } = {
  backend: {
    cpu: () => import("@powerinfer/backend-cpu"),
    reference: () => import("@powerinfer/backend-reference")
  },
  predictor: {
    every_neuron: () => import("@powerinfer/predictor-every-neuron"),
    exact_gate: () => import("@powerinfer/predictor-exact-gate"),
    oracle_top_k: () => import("@powerinfer/predictor-oracle-top-k")
  },
  placement: {
    single_device: () => import("@powerinfer/placement-single-device")
  }
}

/** For help texts: "every_neuron, exact_gate, oracle_top_k". */
export const firstPartyNames = (kind: PluginKind): string => Object.keys(firstParty[kind]).join(", ")
