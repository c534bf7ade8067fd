// How does a test see that a contract suite notices a plugin that is wrong in one way?
import { expect } from "bun:test"
import type { DefineTest } from "@powerinfer/core/testing"
import { runContract } from "@powerinfer/core/testing"

/** Runs the tests of a suite whose names match, and expects that there are some and that all of them fail, for the reason given if one is. */
export const expectNoticed = async (suite: (test: DefineTest) => void, name: RegExp, reason = /./): Promise<void> => {
  const report = await runContract((test) => suite(only(test, name)))
  expect(report.length).toBeGreaterThan(0)
  for (const { error } of report) expect(error?.message).toMatch(reason)
}

/** Runs a whole suite and expects nothing but success. */
export const expectKept = async (suite: (test: DefineTest) => void): Promise<void> => {
  const report = await runContract(suite)
  expect(report.length).toBeGreaterThan(0)
  expect(report.filter(({ passed }) => !passed).map(({ name, error }) => `${name}: ${error?.message}`)).toEqual([])
}

const only =
  (test: DefineTest, name: RegExp): DefineTest =>
  (sentence, run) =>
    name.test(sentence) && test(sentence, run)
