// Which of several choices is beaten by no other?

/**
 * The choices that no other one beats: none is at least as small in both values and smaller in one. Of equals, all.
 *
 * - `first`, `second`  what is to be small; a value that is no number puts a choice out of the race
 */
export const paretoFront = <Choice>(
  choices: ReadonlyArray<Choice>,
  first: (choice: Choice) => number,
  second: (choice: Choice) => number
): ReadonlySet<Choice> => {
  const ordered = choices
    .filter((choice) => !Number.isNaN(first(choice)) && !Number.isNaN(second(choice)))
    .sort((a, b) => first(a) - first(b) || second(a) - second(b))
  const front = new Set<Choice>()
  let best = Infinity
  let bestAt = -Infinity
  for (const choice of ordered) {
    const value = second(choice)
    const equalsBest = value === best && first(choice) === bestAt
    if (value >= best && !equalsBest) continue
    best = value
    bestAt = first(choice)
    front.add(choice)
  }
  return front
}
