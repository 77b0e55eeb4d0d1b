#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a test machine and measures what the control plane costs at its limits: wlb-routerd with
# full groups, lists of many flows, a file with many services. usage: bench-control.sh
# The environment says: PARTS="routerd flows apply", which of them; GROUPS_OF="1 16 64 256",
# FLOWS="10000 100000 1000000", SERVICES="10 100 1000", how many.
# The machine is the benchmarks' own (bench.sh): one processor whose clock counts instructions,
# so a second is 10^9 of them. Its figures are in build/results/control.json. Exit status 1 if
# something is not as it should be, or a message costs wlb-routerd more than it may.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
scripts/build-kmod.sh 6.1 -s
make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/bench-control
mkdir -p "$WLB_OUT"
rm -f "$WLB_OUT/control.json" build/results/control.json
status=0
scripts/lab.sh -i -k 6.1 -t "${LIMIT:-7200}" -- env "WLB_COMMIT=$commit" "PARTS=${PARTS:-}" \
	"GROUPS_OF=${GROUPS_OF:-}" "FLOWS=${FLOWS:-}" "SERVICES=${SERVICES:-}" \
	/usr/bin/python3 tests/lab/bench_control.py || status=$?
if [ -e "$WLB_OUT/control.json" ]; then
	scripts/result.py control.json <"$WLB_OUT/control.json"
	scripts/result.py control.json <<<"{\"seconds\": $SECONDS}"
	scripts/bench_table.py control
	echo "bench-control: build/results/control.json written"
fi
exit "$status"
