// What does a peer look like from outside? It answers as peer/llama_cpp.c does, or as its first argument says, and takes no time.
import { createInterface } from "node:readline"

const [, , manner = "", model = ""] = process.argv

if (manner === "refuses") {
  process.stderr.write(`unknown architecture of ${model}\nthe model cannot be loaded\n`)
  process.exit(1)
}
process.stdout.write(manner === "babbles" ? "hello\n" : "ready 1.2.3\n")
createInterface(process.stdin).on("line", (line) => {
  if (manner === "dies") process.exit(3)
  const [, prompt, ...ids] = line.split(" ")
  // Four prompt tokens a second, two decoded ones: whoever asks can tell what was asked for.
  const seconds = [Number(prompt) / 4, (ids.length - Number(prompt)) / 2].map((value) => value.toFixed(9))
  process.stdout.write(manner === "stops time" ? "ran 0.000000000 1.000000000\n" : `ran ${seconds.join(" ")}\n`)
})
