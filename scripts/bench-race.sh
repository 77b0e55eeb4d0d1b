#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a test machine and measures how often the nearest replica wins, and how soon, by race
# mode, over a grid of distances, jitter and loss. usage: bench-race.sh
# The environment says: CELLS="5:1:0 5:1:1" (difference ms : sigma ms : loss %; all of the grid),
# CONNECTIONS=2000 in a cell, SEED=1 of what is drawn here.
# The machine is User Mode Linux whose clock stands still while anything runs: it adds no jitter
# of its own. Its figures are in build/results/race.json. Exit status 1 if one misses its goal.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
scripts/debug-kernel.sh native >/dev/null
echo "bench-race: building"
scripts/build-kmod.sh native -s
make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/bench-race
mkdir -p build/results "$WLB_OUT"
rm -f "$WLB_OUT/race.json" build/results/race.json
status=0
scripts/lab.sh -i -k native -t "${LIMIT:-14400}" -- env "WLB_COMMIT=$commit" \
	"CELLS=${CELLS:-}" "CONNECTIONS=${CONNECTIONS:-}" "SEED=${SEED:-}" \
	/usr/bin/python3 tests/lab/bench_race.py || status=$?
if [ -e "$WLB_OUT/race.json" ]; then
	scripts/result.py race.json <"$WLB_OUT/race.json"
	scripts/result.py race.json <<<"{\"seconds\": $SECONDS}"
	echo "bench-race: build/results/race.json written"
fi
exit "$status"
