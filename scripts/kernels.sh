#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The test machines' kernels: those that scripts/deps.sh has unpacked, and our own.
# usage: kernels.sh              one "SERIES KVER" per line
#        kernels.sh WHICH        KVER of a series (6.12) or version, or of one that
#                                scripts/debug-kernel.sh builds: uml, smp, kcsan, native
#        kernels.sh -r WHICH     its directory: boot/vmlinuz-KVER, lib/modules/KVER
#        kernels.sh -b WHICH     its build directory, for make -C
set -euo pipefail

what=version
while getopts rb option; do
	case $option in
	r) what=root ;;
	b) what=build ;;
	*) exit 2 ;;
	esac
done
shift $((OPTIND - 1))

case ${1:-} in
uml | smp | kcsan | native)
	dir=$("$(dirname "$0")/debug-kernel.sh" "$1")
	case $what in
	version) cat "$dir/include/config/kernel.release" ;;
	*) echo "$dir" ;;
	esac
	exit
	;;
esac
dir=${WLB_CACHE:-/var/cache/wlb}/kernels
if [ ! -e "$dir/versions" ]; then
	echo "kernels: $dir/versions is not there; run scripts/deps.sh (make deps)" >&2
	exit 1
fi
if [ $# = 0 ]; then
	exec cat "$dir/versions"
fi
kver=$(awk -v want="$1" '$1 == want || $2 == want { print $2 }' "$dir/versions")
if [ -z "$kver" ]; then
	echo "kernels: no kernel $1; there are: $(paste -sd ',' "$dir/versions")" >&2
	exit 1
fi
case $what in
version) echo "$kver" ;;
root) echo "$dir/$kver" ;;
build) echo "$dir/$kver/lib/modules/$kver/build" ;;
esac
