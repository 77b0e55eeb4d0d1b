#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a packet costs, in ns, beside plain forwarding, nftables and IPVS: the rows of bench.sh on
# this machine's own processor, in a User Mode Linux without debugging and with a real clock.
# usage: bench-time.sh
# The environment says: ROWS, words in the names of the rows to be measured; FAMILY, 4 or 6;
# ROUNDS=40 over all rows; SEED=1 of their order. The figures are in build/results/time.json.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
scripts/debug-kernel.sh native >/dev/null
scripts/build-kmod.sh native -s WLB_BENCH=m
[ -x build/userspace/wlbctl ] || make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/bench-time
mkdir -p "$WLB_OUT"
rm -f "$WLB_OUT/time.json"
scripts/lab.sh -r -k native -t "${LIMIT:-1800}" -- env "WLB_COMMIT=$commit" "ROWS=${ROWS:-}" \
	"FAMILY=${FAMILY:-}" "ROUNDS=${ROUNDS:-}" "SEED=${SEED:-}" \
	/usr/bin/python3 tests/lab/bench_time.py
scripts/result.py time.json <"$WLB_OUT/time.json"
scripts/bench_result.py
echo "bench-time: build/results/time.json written"
