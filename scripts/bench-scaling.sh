#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# What a second processor adds to plain forwarding and to the return mode nat, in packets a second,
# and which cache lines both processors use for it that one of them writes: Debian's 6.1 in a
# machine of two processors, emulated by a thread each. usage: bench-scaling.sh [rate|watch]
#   rate     the former alone
#   watch    the latter alone: every access to memory of some packets is looked at
#            (tests/bench/shared.c); status 1 if ours writes to a shared line
# The environment says: FAMILY, 4 or 6; ROUNDS=100; SEED=1 of their order. The figures are in
# build/results/scaling.json.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
parts=("$@")
[ $# -gt 0 ] || parts=(rate watch)
mkdir -p build
gcc -O2 -Wall -Wextra -Werror -fPIC -shared -fvisibility=hidden -o build/shared.so \
	tests/bench/shared.c
scripts/build-kmod.sh 6.1 -s WLB_BENCH=m
[ -x build/userspace/wlbctl ] || make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)

measure() {
	mkdir -p "$WLB_OUT"
	rm -f "$WLB_OUT"/*.* "$WLB_OUT/lines" "$WLB_OUT/kallsyms"
	scripts/lab.sh -k 6.1 -c 2 -t "${LIMIT:-1800}" -- env "WLB_COMMIT=$commit" \
		"FAMILY=${FAMILY:-}" "ROUNDS=${ROUNDS:-}" "SEED=${SEED:-}" \
		/usr/bin/python3 tests/lab/bench_scaling.py "$1"
}

status=0
for part in "${parts[@]}"; do
	export WLB_OUT=$PWD/build/lab/bench-scaling-$part
	case $part in
	rate)
		measure rate
		scripts/result.py scaling.json <"$WLB_OUT/scaling.json"
		;;
	watch)
		WLB_PLUGIN=$PWD/build/shared.so,cpus=2,out=$WLB_OUT/lines measure watch
		scripts/shared.py "$WLB_OUT" || status=$?
		scripts/result.py scaling.json <"$WLB_OUT/shared.json"
		;;
	*)
		sed -n 's/^.*\(usage: .*\)/\1/p' "$0" | head -n 1 >&2
		exit 2
		;;
	esac
done
echo "bench-scaling: build/results/scaling.json written"
exit "$status"
