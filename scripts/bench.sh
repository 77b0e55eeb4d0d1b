#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a packet costs, in instructions, on the stock kernel of a test machine whose clock
# counts them. usage: bench.sh full|quick|flows|profile|accept
#   full     all rows, also contenders and many flows: build/results/bench.json
#   quick    rows of one flow, ours alone; status 1 if one costs more than the committed figures
#            (tests/bench/figures.json) and 3 %
#   flows    memory of a million flows, what it takes to make and to end them, and for how long
#            their worker lets nobody else work: build/results/flows.json
#   profile  instructions of one row by function, those added to forwarding first
#   accept   commits to what the last quick run has measured: writes the figures' file
# The environment: ROWS, words in the names of the rows to be measured; FAMILY, 4 or 6.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
mode=${1:-}
export WLB_OUT=$PWD/build/lab/bench-$mode

measure() { # PROGRAM [ARGUMENT]
	scripts/build-kmod.sh 6.1 -s WLB_BENCH=m
	[ -x build/userspace/wlbctl ] || make -s -C userspace all
	mkdir -p "$WLB_OUT"
	rm -f "$WLB_OUT"/*
	scripts/lab.sh -i -k 6.1 -t "${LIMIT:-3000}" -- env "ROWS=${ROWS:-}" "FLOWS=${FLOWS:-}" \
		"FAMILY=${FAMILY:-}" "WLB_COMMIT=$(git rev-parse --verify -q HEAD || true)" \
		/usr/bin/python3 "tests/lab/$1" "${@:2}"
}

keep() { # FIGURES RESULTS
	if [ -e "$WLB_OUT/$1" ]; then
		scripts/result.py "$2" <"$WLB_OUT/$1"
		scripts/bench_result.py
		echo "bench: build/results/$2 written"
	fi
}

# Here, so that it is compiled whenever anything is measured.
plugin() {
	mkdir -p build
	gcc -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -o build/hot.so \
		tests/bench/hot.c
}

case $mode in
full | quick)
	status=0
	plugin
	measure bench.py "$mode" || status=$?
	[ "$mode" = quick ] || keep packets.json bench.json
	exit "$status"
	;;
flows)
	status=0
	measure bench_flows.py || status=$?
	keep flows.json flows.json
	exit "$status"
	;;
profile)
	plugin
	row=$WLB_OUT
	WLB_PLUGIN=$PWD/build/hot.so,out=$row/blocks measure bench.py profile
	ROWS=$(cat "$row/base") WLB_OUT=$row-forward
	WLB_PLUGIN=$PWD/build/hot.so,out=$WLB_OUT/blocks measure bench.py profile
	scripts/hot.py "$row" "$WLB_OUT"
	;;
accept)
	jq -S '.packets | map({key: "\(.name), IPv\(.family)", value: {instructions, added}}) |
		from_entries' build/lab/bench-quick/packets.json >tests/bench/figures.json
	;;
*)
	sed -n 's/^.*\(usage: .*\)/\1/p' "$0" | head -n 1 >&2
	exit 2
	;;
esac
