#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# clang-tidy over one C++ file, unless just the same file was clean before.
# usage: tidy.sh FILE -- COMPILER-FLAGS...
# What is clean is kept in the cache ($WLB_CACHE) under a hash of all that was read.
set -euo pipefail

file=$1
cache=${WLB_CACHE:-/var/cache/wlb}/tidy
hash=$({
	clang-tidy --version
	clang-tidy --dump-config "$file" -- 2>/dev/null
	clang++ -E -C "${@:3}" "$file"
} | sha256sum | cut -d ' ' -f 1)
[ ! -e "$cache/$hash" ] || exit 0
clang-tidy --quiet "$file" -- "${@:3}"
if mkdir -p "$cache" 2>/dev/null; then
	touch "$cache/$hash"
fi
