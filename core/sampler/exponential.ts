// What is e^x, to the last bit the same on every machine?
// Math.exp may differ between engines and C libraries (ECMA-262 leaves it "implementation-approximated"), and one bit is
// enough to draw another token. Additions and multiplications of doubles are exact by IEEE 754, so this uses nothing else.

// ln 2 in two parts: k * high is exact for |k| < 2^20, which keeps the reduced argument correct to the last bit.
const ln2High = 6.9314718036912381649e-1
const ln2Low = 1.90821492927058770002e-10

/** 1/n! for n = 0 to 13. |r| ≤ ln(2)/2 leaves a remainder below r^14/14! < 5e-18, less than half a unit in the last place. */
const coefficients = Float64Array.from({ length: 14 }, (_, n) => {
  let factorial = 1
  for (let k = 2; k <= n; k++) factorial *= k
  return 1 / factorial
})

/** Below this e^x is no longer a normal double; no draw can tell it from 0. */
const smallestArgument = -708

/** powersOfHalf[k] = 2^-k */
const powersOfHalf = new Float64Array(1024)
for (let k = 0, power = 1; k < powersOfHalf.length; k++, power /= 2) powersOfHalf[k] = power

/**
 * e^x for x ≤ 0, within 2 units in the last place; 0 below -708 and for -Infinity.
 *
 * - source  range reduction by ln 2 as in fdlibm's e_exp.c, then the Taylor polynomial
 */
export const expOfNonPositive = (x: number): number => {
  if (x < smallestArgument) return 0
  const halvings = -Math.floor(x * Math.LOG2E + 0.5)
  const r = x + halvings * ln2High + halvings * ln2Low
  let sum = coefficients[13]!
  for (let n = 12; n >= 0; n--) sum = sum * r + coefficients[n]!
  return sum * powersOfHalf[halvings]!
}
