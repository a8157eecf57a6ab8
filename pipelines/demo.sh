#!/bin/sh
# The main job, one verb after the other: each line below also works by itself.
set -eu
PYTHON=${PYTHON:-python}
DATA=${DATA:-data/digits}
RUN=${RUN:-runs/demo}
CONFIG=${CONFIG:-configs/digits.yaml}
overrides=""
for pair in ${SET:-}; do overrides="$overrides --set $pair"; done

step() { printf '\n== %s\n' "$1"; }

step "prepare: spoken digits and scans into shards"
$PYTHON -m pipelines.prepare --source digits --config "$CONFIG" --out "$DATA"

step "train: one codebook for both"
# shellcheck disable=SC2086  # each override is two words
$PYTHON -m pipelines.train --config "$CONFIG" --data "$DATA" --run "$RUN" $overrides

step "evaluate: unseen voices x unseen scans"
$PYTHON -m pipelines.evaluate --run "$RUN" --data "$DATA" --split test

step "index: every test item by its codes"
$PYTHON -m pipelines.index --run "$RUN" --data "$DATA" --split test --out "$RUN/index"

step "export: for TensorFlow Serving and for devices, compared with the run's codes"
$PYTHON -m pipelines.export --run "$RUN" --data "$DATA" --out "$RUN/export" --verify

word=$(find "$DATA/source/audio" -name '*-7.*' | sort | tail -n 1)
scan=$(find "$DATA/source/images" -name '*.png' | sort | tail -n 1)
step "say a digit, get its pictures: $word"
$PYTHON -m pipelines.query --run "$RUN" --index "$RUN/index" --audio "$word" --k 5
step "show a picture, get its sounds: $scan"
$PYTHON -m pipelines.query --run "$RUN" --index "$RUN/index" --image "$scan" --k 5

printf '\nreport: %s/report/index.html\n' "$RUN"
