#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds the module for one kernel: build-kmod.sh KVER [make arguments]
# -> build/kmod/KVER/wlb.ko, objects beside it, the source tree untouched.
# KVER may also be one of scripts/debug-kernel.sh: uml, smp, kcsan.
set -euo pipefail
cd "$(dirname "$0")/.."
kver=${1:?usage: build-kmod.sh KVER [make arguments]}
shift
[ "$kver" != uml ] || export ARCH=um
headers=/lib/modules/$kver/build
[ -d "$headers" ] || {
	headers=$(scripts/kernels.sh -b "$kver") && kver=$(scripts/kernels.sh "$kver")
} || {
	echo "build-kmod: no headers of kernel $kver: apt install linux-headers-$kver" >&2
	exit 1
}
out=build/kmod/$kver
mkdir -p "$out/kmod"
exec 9>"$out/.lock"
flock 9
# kbuild writes beside its sources: give it links to them
ln -sfn "$PWD/Kbuild" "$out/Kbuild"
ln -sfn "$PWD/include" "$out/include"
find "$out/kmod" -type l -delete
ln -sf "$PWD"/kmod/*.[ch] "$out/kmod/"
exec make -C "$headers" M="$PWD/$out" "$@" modules
