#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs, upgrades and purges the packages in a Debian 12 that has no wlb, by chroot: at the
# processor's own speed, which DKMS needs, for the kernels of both series. Nothing may be left.
# usage: install-test.sh DEBS NEWER-DEBS ROOT
# DEBS are of scripts/deb.sh, NEWER-DEBS of another version. ROOT is made anew, and is such a system
# with DEBS installed: the root of a machine (lab.sh -R), where tests/packaging goes on.
set -euo pipefail
cd "$(dirname "$0")/.."
debs=$(realpath "$1") newer=$(realpath "$2") machine=$(realpath -m "$3")
root=$machine.trial
cache=${WLB_CACHE:-/var/cache/wlb}

# Mounts of its own, which end with it.
if [ -z "${WLB_OWN_MOUNTS:-}" ]; then
	WLB_OWN_MOUNTS=1 exec unshare --mount "$0" "$@"
fi
say() { printf 'install-test: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }

base=$(scripts/debian-root.sh)
runs=$(scripts/kernels.sh 6.1)
rm -rf "$root" "$machine"
mkdir -p "$(dirname "$root")"
cp -a "$base" "$root"
mount --bind "$root" "$root" # so that find -xdev keeps to it
mount -t proc proc "$root/proc"
mount -t tmpfs tmp "$root/tmp"
mount --rbind /dev "$root/dev"
mkdir -p "$root$cache/kernels"
mount --bind "$cache/kernels" "$root$cache/kernels"
mkdir "$root/tmp/debs" "$root/tmp/newer"
cp "$debs"/*.deb "$root/tmp/debs"
cp "$newer"/*.deb "$root/tmp/newer"

# ccache knows what DKMS compiles from the last time that the same was tested.
mkdir -p "$cache/ccache-dkms" "$root/tmp/ccache"
mount --bind "$cache/ccache-dkms" "$root/tmp/ccache"
inside() {
	chroot "$root" env -i PATH=/usr/lib/ccache:/usr/sbin:/usr/bin:/sbin:/bin \
		CCACHE_DIR=/tmp/ccache CCACHE_MAXSIZE=100M DEBIAN_FRONTEND=noninteractive "$@"
}
# shellcheck disable=SC2016 # of the inner shell
install() { inside sh -c 'apt-get -o DPkg::Path="$PATH" install -qq -y "$1"/*.deb' sh "$1"; }
# What apt keeps of its own use, the first one in a new root, is not the packages'.
listed() {
	(cd "$root" && find . -xdev -path './var/*/apt' -prune -o -printf '%y %m %p\n' | sort)
}
built() { # VERSION: it, and nothing else, is there for every kernel
	local kver found
	while read -r _ kver; do
		mapfile -t found < <(find "$root/lib/modules/$kver" -name 'wlb.ko*')
		[ "${#found[@]}" = 1 ] || die "modules for $kver: ${found[*]:-none}"
		[ "$(modinfo -F version "${found[0]}")" = "$1" ] || die "not of $1: ${found[0]}"
		case $(modinfo -F vermagic "${found[0]}") in
		"$kver "*) say "${found[0]#"$root"} is wlb $1 for $kver" ;;
		*) die "${found[0]} is for another kernel" ;;
		esac
	done <"$cache/kernels/versions"
}
version_of() { dpkg-deb -f "$1"/wlb_*.deb Version; }

before=$(listed)
install /tmp/debs
built "$(version_of "$debs")"
[ "$(stat -c '%a %U %G' "$root/etc/wlb")" = '750 root root' ] || die '/etc/wlb is open to others'
for example in "$root"/usr/share/doc/wlb/examples/*; do
	inside wlbctl check "${example#"$root"}"
done
for document in README.md docs/*.md docs/*.png docs/guides/*.md; do
	# what is long debhelper compresses
	found=("$root/usr/share/doc/wlb/${document#docs/}"*)
	[ -s "${found[0]}" ] || die "the package has no $document"
done
enabled=$(find "$root/etc/systemd" -name 'wlb*')
[ -z "$enabled" ] || die "enabled though nobody asked: $enabled"

# What tests/packaging begins with: the gateway is configured, and starts with its machine.
cp -a --one-file-system "$root" "$machine"
(cd "$machine" && rmdir -p --ignore-fail-on-non-empty ".$cache/kernels") # the place of the headers
# DKMS, a shell script, is slow under emulation: with one kernel it has half as much to do there.
for other in "$machine"/lib/modules/* "$machine"/var/lib/dkms/wlb/{*/6.*,kernel-*}; do
	case ${other##*/} in
	"$runs" | "kernel-$runs-"*) ;;
	*) rm -rf "$other" ;;
	esac
done
cp tests/packaging/*.toml "$machine/etc/wlb"
(umask 077 && echo '1 5f1c0e9b2a7d4c3388e6a0b1c2d3e4f5' >"$machine/etc/wlb/www.key")
chroot "$machine" systemctl --quiet enable wlb wlb-processd

inside systemctl --quiet enable wlb wlb-routerd

install /tmp/newer
built "$(version_of "$newer")"
old=$(find "$root/usr/src" "$root/var/lib/dkms" -name "*$(version_of "$debs")*")
[ -z "$old" ] || die "left of the older version: $old"
[ -L "$root/etc/systemd/system/multi-user.target.wants/wlb-routerd.service" ] ||
	die 'the upgrade has disabled a unit'

# What an administrator and processd have made goes with a purge, too.
echo key >"$root/etc/wlb/www.key"
mkdir -p "$root/var/lib/wlb"
inside apt-get purge -qq -y wlb wlb-dkms
after=$(listed)
left=$(diff <(echo "$before") <(echo "$after") | grep '^[<>]' || true)
[ -z "$left" ] || die "before the installation (<) and after the purge (>):"$'\n'"$left"
say "nothing is left of $(echo "$before" | wc -l) files' neighbours"
umount -R "$root"
rm -rf "$root"
