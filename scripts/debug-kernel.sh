#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# The kernels that watch themselves, and one that is for figures, built from Debian's
# linux-source-6.1.
# usage: debug-kernel.sh uml|smp|kcsan|native      builds it if need be, prints its directory
#   uml    User Mode Linux: linux, with KASAN, UBSAN, lockdep, kmemleak, gcov
#   smp    x86_64: arch/x86/boot/bzImage, the same but for gcov, several processors
#   kcsan  x86_64, the same machine with KCSAN in their place
#   native User Mode Linux without any of them
# The directory serves make M= for modules. It lies in the cache ($WLB_CACHE) under a
# hash of what made it: configuration, source and compiler. The older ones go.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
configs=$(dirname "$scripts")/tests/kernels
cache=${WLB_CACHE:-/var/cache/wlb}
name=${1:-}

die() {
	echo "debug-kernel: $*" >&2
	exit 1
}

case $name in
uml) arch=um base=defconfig target=linux fragments=(net debug uml) ;;
smp) arch=x86_64 base=tinyconfig target=bzImage fragments=(net x86 debug) ;;
kcsan) arch=x86_64 base=tinyconfig target=bzImage fragments=(net x86 kcsan) ;;
native) arch=um base=defconfig target=linux fragments=(net native) ;;
*) die 'usage: debug-kernel.sh uml|smp|kcsan|native' ;;
esac
source=$cache/source
[ -e "$source/.wlb-version" ] || die "$source is not there; run scripts/deps.sh (make deps)"
files=("${fragments[@]/#/$configs/}")
files=("${files[@]/%/.config}")
patches=("$configs/$name"-*.patch)
[ -e "${patches[0]}" ] || patches=()

hash=$(cat "${files[@]}" "${patches[@]}" "$source/.wlb-version" <(gcc -v 2>&1 | tail -1; echo "$base") |
	sha256sum | cut -c 1-12)
out=$cache/debug/$name-$hash
mkdir -p "$cache/debug"
exec 9>"$cache/debug/$name.lock"
flock 9
if [ -e "$out/.wlb-complete" ]; then
	echo "$out"
	exit
fi
echo "debug-kernel: building $name, once; log: $cache/debug/$name.log" >&2
rm -rf "$cache/debug/$name"-*
mkdir "$out"
log=$cache/debug/$name.log
start=$SECONDS
kmake() {
	make -C "$source" ARCH="$arch" O="$out" "$@" >>"$log" 2>&1 </dev/null || {
		tail -n 25 "$log" >&2
		die "make $* failed"
	}
}
: >"$log"
# Of files that other architectures do not compile: all share the source.
for patch in "${patches[@]}"; do
	if patch -d "$source" -p 1 -N --dry-run <"$patch" >>"$log"; then
		patch -d "$source" -p 1 -s <"$patch"
	fi
done
kmake "$base"
"$source/scripts/kconfig/merge_config.sh" -m -O "$out" "$out/.config" "${files[@]}" >>"$log"
# Modules of different kernels must not be taken for one another.
echo "CONFIG_LOCALVERSION=\"-$name\"" >>"$out/.config"
kmake olddefconfig
# What a fragment asks for and the kernel does not have is silently left out.
lost=$(sed 's/^# \(CONFIG_[A-Z0-9_]*\) is not set$/\1=n/' "${files[@]}" | grep '^CONFIG_' |
	while IFS='=' read -r option value; do
		if [ "$value" = n ]; then
			! grep -q "^$option=" "$out/.config" || echo "$option=n"
		else
			grep -qxF "$option=$value" "$out/.config" || echo "$option=$value"
		fi
	done)
[ -z "$lost" ] || die "this kernel cannot have"$'\n'"$lost"
kmake -j"$(nproc)" "$target" modules
kmake INSTALL_MOD_PATH="$out" modules_install
# Modules are built against symbols, headers and tools, not objects.
find "$out" \( -name scripts -o -name tools \) -prune -o \( -name '*.o' -o -name '*.a' -o -name '.*.cmd' \
	-o -name 'vmlinux*' \) -type f ! -name module.lds -exec rm -f {} +
touch "$out/.wlb-complete"
echo "debug-kernel: $name in $((SECONDS - start)) s" >&2
echo "$out"
