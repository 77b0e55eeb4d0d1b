#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# usage: run.sh SECONDS TARGET...
# Runs each fuzzer for so long, two side by side, on a copy of its corpus, and says
# what came of it. Status 1 if one has failed: the input that did it is in
# build/fuzz/run/TARGET/, build/fuzz/TARGET FILE runs it again.
set -euo pipefail
cd "$(dirname "$0")"
build=$(cd ../../build/fuzz && pwd)

run() {
	local target=$1 dir=$build/run/$1 dict=()
	rm -rf "$dir"
	mkdir -p "$dir"
	cp -r "corpus/$target" "$dir/corpus"
	[ ! -e "$target.dict" ] || dict=("-dict=$target.dict")
	if ! "$build/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 \
		-print_final_stats=1 -artifact_prefix="$dir/" "${dict[@]}" "$dir/corpus" \
		>"$dir/log" 2>&1; then
		grep -E 'does not hold|Assertion|ERROR|runtime error|SUMMARY' "$dir/log" >&2 || tail "$dir/log" >&2
		echo "fuzz: $target: FAILED: $(find "$dir" -maxdepth 1 -name '*-*' | paste -sd ' '), log $dir/log"
		return 1
	fi
	awk -v target="$target" -v seconds="$seconds" '
		/^stat::number_of_executed_units/ { runs = $2 }
		match($0, / cov: [0-9]+/) { cov = substr($0, RSTART + 6, RLENGTH - 6) }
		END {
			# a fuzzer whose input never gets in, or that came to nothing
			if (!runs || !cov) {
				print "fuzz: " target ": FAILED: no runs"
				exit 1
			}
			printf "fuzz: %s: %d runs, coverage %d, %d s\n", target, runs, cov, seconds
		}' "$dir/log"
}

if [ "${1:-}" = -1 ]; then
	seconds=$2
	run "$3"
else
	seconds=$1
	shift
	# xargs says 123 if one of them failed
	printf '%s\n' "$@" | xargs -P 2 -n 1 "./$(basename "$0")" -1 "$seconds" || exit 1
fi
