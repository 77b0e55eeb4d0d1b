#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds the module for one kernel: build-kmod.sh KVER [make arguments]
# -> build/kmod/KVER/wlb.ko, objects beside it, the source tree untouched.
# KVER may also be one of scripts/debug-kernel.sh: uml, smp, kcsan, native.
# With WLB_BENCH=m: also wlb-inject.ko, which the benchmarks take their packets from.
# With the warnings of W=1 always: what one caller has built is then the next one's, too.
# With CC=clang: for its warnings. It lacks what Debian's gcc has for the mitigations
# of the CPU's faults, so that module is not for use, and lies in build/kmod/clang-KVER.
set -euo pipefail
cd "$(dirname "$0")/.."
kver=${1:?usage: build-kmod.sh KVER [make arguments]}
shift
case $kver in uml | native) export ARCH=um ;; esac
headers=/lib/modules/$kver/build
[ -d "$headers" ] || {
	headers=$(scripts/kernels.sh -b "$kver") && kver=$(scripts/kernels.sh "$kver")
} || {
	echo "build-kmod: no headers of kernel $kver: apt install linux-headers-$kver" >&2
	exit 1
}
# The headers are configured for gcc: what clang does not know is taken out of them.
clang=() out=build/kmod/$kver
case " $* " in
*" CC=clang"*)
	out=build/kmod/clang-$kver
	clang=(CONFIG_CC_IS_GCC= CONFIG_CC_IS_CLANG=y
		CONFIG_CC_IMPLICIT_FALLTHROUGH=-Wimplicit-fallthrough
		CONFIG_CC_HAS_AUTO_VAR_INIT_ZERO_ENABLER=y CONFIG_FTRACE_MCOUNT_USE_CC=
		CONFIG_RETHUNK= CONFIG_MITIGATION_RETHUNK= CONFIG_SLS= CONFIG_MITIGATION_SLS=
		KCFLAGS="-Wno-unknown-warning-option -Wno-address-of-packed-member
			-Wno-duplicate-decl-specifier")
	;;
esac
mkdir -p "$out/kmod"
exec 9>"$out/.lock"
flock 9
# kbuild writes beside its sources: give it links to them
ln -sfn "$PWD/Kbuild" "$out/Kbuild"
ln -sfn "$PWD/VERSION" "$out/VERSION"
ln -sfn "$PWD/include" "$out/include"
find "$out/kmod" -type l -delete
ln -sf "$PWD"/kmod/*.[ch] "$out/kmod/"
ln -sf "$PWD/tests/bench/inject.c" "$out/inject.c"
build=(make -C "$headers" W=1 "${clang[@]}" "$@")

# ccache knows a result again by the compiler's arguments, and kbuild has whole paths in them: so
# for it, and for nobody else, whatever is built lies at one place. Not what gcov is to find again.
cache=${WLB_CACHE:-/var/cache/wlb}
place=$cache/kmod
if [[ " $* " == *" GCOV_PROFILE="* ]] || ! command -v ccache >/dev/null ||
	! mkdir -p "$place" "$cache/ccache" 2>/dev/null || ! unshare --mount true 2>/dev/null; then
	exec "${build[@]}" M="$PWD/$out" modules
fi
compiler=gcc
[ ${#clang[@]} = 0 ] || compiler=clang
export CCACHE_DIR=$cache/ccache
# shellcheck disable=SC2016 # of the inner shell
unshare --mount sh -c 'mount --bind "$1" "$2" && shift 2 && exec "$@"' sh "$PWD/$out" "$place" \
	"${build[@]}" M="$place" CC="ccache $compiler" modules 2>&1 | sed -u "s|$place/|$out/|g"
