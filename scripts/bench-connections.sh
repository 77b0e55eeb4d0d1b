#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a test machine and measures connections per second, end to end, with us and without, and
# the same in a flood of SYNs. usage: bench-connections.sh
# The environment says: ROUNDS=5, each way once in each beside plain forwarding;
# CONNECTIONS=500 at a time; RATES="1000 3000", SYNs of the flood a second.
# The machine is the benchmarks' own (bench.sh): one processor whose clock counts instructions,
# so a second is 10^9 of them. Its figures are in build/results/connections.json. Exit status 1
# if a connection has failed that should not, or was served by another than it should be.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
scripts/build-kmod.sh 6.1 -s
make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/bench-connections
mkdir -p "$WLB_OUT"
rm -f "$WLB_OUT/connections.json" build/results/connections.json
status=0
scripts/lab.sh -i -k 6.1 -t "${LIMIT:-7200}" -- env "WLB_COMMIT=$commit" \
	"ROUNDS=${ROUNDS:-}" "CONNECTIONS=${CONNECTIONS:-}" "RATES=${RATES:-}" \
	/usr/bin/python3 tests/lab/bench_connections.py || status=$?
if [ -e "$WLB_OUT/connections.json" ]; then
	scripts/result.py connections.json <"$WLB_OUT/connections.json"
	scripts/result.py connections.json <<<"{\"seconds\": $SECONDS}"
	scripts/bench_table.py connections
	scripts/bench_result.py
	echo "bench-connections: build/results/connections.json written"
fi
exit "$status"
