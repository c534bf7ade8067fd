#!/bin/sh
# From a model and some text to a Pareto plot: profile, train, place, evaluate, compare. See docs/experiments.md.
#
#   sh examples/experiment/run.sh [FOLDER [TRAIN_TEXT [TEST_TEXT [MODEL]]]]
#
# Everything goes into FOLDER (build/experiment). Run again, it goes on where it was interrupted.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
absolute() { echo "$(cd "$(dirname "$1")" && pwd)/$(basename "$1")"; }
train=$(absolute "${2:-$root/models/text/train.txt}")
test=$(absolute "${3:-$root/models/text/test.txt}")
model=$(absolute "${4:-$root/models/relu-llama-7m/relu-llama-7m-q8_0.gguf}")
powerinfer() { bun "$root/apps/cli/main.ts" "$@"; }

mkdir -p "${1:-$root/build/experiment}"
cd "${1:-$root/build/experiment}"
ln -sf "$model" model.gguf
ln -sf "$test" test.txt
cp "$root/examples/experiment/experiment.toml" .

powerinfer profile model.gguf "$train" --windows 128 --out profile.json --trace trace.arrow
[ -e mlp.gguf ] || powerinfer train mlp model.gguf --trace trace.arrow --out mlp.gguf
powerinfer place model.gguf --profile profile.json --policy greedy --out plan.json
powerinfer evaluate model.gguf test.txt --predictor mlp:file=mlp.gguf --windows 8 --out evaluation.json
powerinfer compare experiment.toml --out results
powerinfer compare experiment.toml --out results --replay trace.arrow
