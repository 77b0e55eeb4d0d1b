#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Installs what build, demo and check need, from Debian 12's own packages, and
# puts the test machines' kernels into a cache. Run as root; run it again at
# any time: it says nothing and changes nothing if nothing is missing.
#
# With an argument, `page`, what the suite of that name needs as well: a browser, and promtool.
#
# Kernels and their headers are unpacked, not installed: what this machine boots
# is its owner's business, and newer headers packages insist on their kernel.
# So is promtool, as the package that it is in is a server.
# The cache is $WLB_CACHE, default /var/cache/wlb:
#   kernels/versions      one line per kernel: "6.1 6.1.0-NN-amd64"
#   kernels/KVER/         boot, lib/modules, headers; see scripts/kernels.sh
#   source/               a kernel's source, for those that scripts/debug-kernel.sh
#                         builds, into debug/
#   promtool              Prometheus' judge of metrics
# To take newer kernels, remove kernels/versions and source/.
set -euo pipefail

cache=${WLB_CACHE:-/var/cache/wlb}
release=bookworm
series=(6.1 6.12)

packages=(
	# build
	build-essential ccache bc pkg-config libnl-3-dev libnl-genl-3-dev libnl-nf-3-dev
	libtomlplusplus-dev
	libboost-program-options-dev libssl-dev nlohmann-json3-dev libspdlog-dev libsystemd-dev
	libcap-dev prometheus-cpp-dev catch2 kmod
	libelf1 pahole # used by the kernels' build tools
	flex bison libelf-dev # and for kernels of our own
	# check
	clang clang-format clang-tidy libclang-rt-14-dev sparse shellcheck flake8 mandoc perl xz-utils git
	# packages
	debhelper dh-dkms dpkg-dev lintian systemd
	# test machines
	qemu-system-x86 busybox-static cpio debootstrap
	# scenarios
	bpftrace conntrack curl ethtool haproxy iperf3 iproute2 iputils-ping nftables nginx-light openssl procps
	squid tcpdump tshark zsh python3-pytest python3-scapy
	# benchmarks
	apache2-utils ipvsadm jq
)

# of the suite `page`, if that is asked for
page_packages=(chromium-headless-shell fonts-dejavu-core)

say() { printf 'deps: %s\n' "$*"; }
die() { printf 'deps: %s\n' "$*" >&2; exit 1; }

installed() {
	[ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# A busy dpkg, a busy list directory or a lost connection passes by itself.
apt() {
	local try
	for try in 1 2 3 4 5; do
		if apt-get -qq -o DPkg::Lock::Timeout=600 -o Acquire::Retries=3 \
			-o APT::Sandbox::User=root "$@" </dev/null; then
			return
		fi
		[ "$try" = 5 ] || { say "apt-get $1 failed, trying again"; sleep 15; }
	done
	die "apt-get $* failed"
}

# Lists as RELEASE URI, of the package lists that apt has on disk.
sources() {
	# The $() are apt's format, not ours.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
		awk '$2 == "main" { print $1, $3 }'
}

updated=
update() {
	[ -z "$updated" ] || return 0
	say 'reading the package lists'
	apt update
	updated=1
}

# Installs without starting anything, now or at the next boot: the scenarios
# run their own nginx and Squid in their own namespaces.
policy=/usr/sbin/policy-rc.d
policy_kept=
put_policy_back() {
	rm -f "$policy"
	[ -z "$policy_kept" ] || mv "$policy_kept" "$policy"
}
install() {
	local service new_services=()
	for service in nginx-common:nginx squid:squid; do
		installed "${service%:*}" || new_services+=("$service")
	done
	say "installing $*"
	if [ -e "$policy" ]; then
		policy_kept=$policy.before-wlb
		mv "$policy" "$policy_kept"
	fi
	trap put_policy_back EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
	apt install -y --no-install-recommends -o Dpkg::Use-Pty=0 -o Dpkg::Options::=--force-confold "$@"
	put_policy_back
	trap - EXIT
	for service in "${new_services[@]}"; do
		if installed "${service%:*}" && [ -x "$(command -v systemctl)" ]; then
			systemctl disable --quiet "${service#*:}.service" ||
				say "could not disable ${service#*:}.service"
		fi
	done
}

add_backports() {
	local uri keyring=/usr/share/keyrings/debian-archive-keyring.gpg
	! sources | grep -q "^$release-backports " || return 0
	update
	uri=$(sources | awk -v r="$release" '$1 == r { print $2; exit }')
	[ -n "$uri" ] || die "no apt source for Debian's $release main: this script knows Debian 12 only"
	say "adding $release-backports to the apt sources"
	{
		printf 'Types: deb\nURIs: %s\nSuites: %s-backports\nComponents: main\n' "$uri" "$release"
		[ ! -e "$keyring" ] || printf 'Signed-By: %s\n' "$keyring"
	} >/etc/apt/sources.list.d/wlb-backports.sources
	updated=
	update
}

# kver_of SERIES: the newest stock kernel of a series that apt offers.
kver_of() {
	apt-cache show --all-versions linux-image-amd64 | awk -v s="$1." '
		/^Version:/ { version = $2 }
		/^Depends:/ && index(version, s) == 1 {
			sub(/^linux-image-/, "", $2); print version, $2
		}' | sort -V | awk 'END { print $2 }'
}

have_kernel() {
	[ -e "$cache/kernels/$1/boot/vmlinuz-$1" ] &&
		[ -e "$cache/kernels/$1/lib/modules/$1/modules.dep" ] &&
		[ -e "$cache/kernels/$1/lib/modules/$1/build/scripts/mod/modpost" ]
}

unpack_kernel() {
	local kver=$1 tmp root deb
	local headers=linux-headers-$1
	! have_kernel "$kver" || return 0
	say "unpacking kernel $kver into $cache/kernels"
	tmp=$(mktemp -d "$cache/kernels/new.XXXXXX")
	root=$tmp/root
	local names=("linux-image-$kver" "$headers")
	mapfile -t -O 2 names < <(apt-cache depends "$headers" |
		awk '/Depends: linux-(headers|kbuild)-/ { print $2 }')
	(cd "$tmp" && apt download "${names[@]}")
	for deb in "$tmp"/*.deb; do
		dpkg-deb -x "$deb" "$root"
	done
	# The packages' links and Makefile are written for /.
	ln -sfn "../../../usr/src/$headers" "$root/lib/modules/$kver/build"
	ln -sfn "../../../usr/src/${headers%-*}-common" "$root/lib/modules/$kver/source"
	sed -i "s|/usr/src/|$cache/kernels/$kver&|" "$root/usr/src/$headers/Makefile"
	depmod -b "$root" "$kver"
	chmod 755 "$root"
	rm -rf "${root:?}/usr/share" "${cache:?}/kernels/$kver"
	mv "$root" "$cache/kernels/$kver"
	rm -rf "$tmp"
	have_kernel "$kver" || die "kernel $kver is not complete after unpacking ${names[*]}"
}

# The source of the kernels that scripts/debug-kernel.sh builds; checkpatch.pl is in it.
kernel_source() {
	local package=linux-source-6.1 tmp version
	[ ! -e "$cache/source/.wlb-version" ] || return 0
	say "unpacking $package into $cache/source"
	tmp=$(mktemp -d "$cache/new.XXXXXX")
	mkdir "$tmp/source"
	if installed "$package"; then
		version=$(dpkg-query -W -f '${Version}' "$package")
		tar -xJf "/usr/src/$package.tar.xz" -C "$tmp/source" --strip-components=1
	else
		update
		(cd "$tmp" && apt download "$package")
		version=$(dpkg-deb -f "$tmp"/*.deb Version)
		dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO "./usr/src/$package.tar.xz" |
			tar -xJ -C "$tmp/source" --strip-components=1
	fi
	chmod 755 "$tmp/source"
	echo "$version" >"$tmp/source/.wlb-version"
	rm -rf "${cache:?}/source" "$cache/checkpatch"
	mv "$tmp/source" "$cache/source"
	rm -rf "$tmp"
}

promtool() {
	local tmp
	[ ! -x "$cache/promtool" ] || return 0
	say "unpacking promtool into $cache"
	update
	tmp=$(mktemp -d "$cache/new.XXXXXX")
	(cd "$tmp" && apt download prometheus)
	dpkg-deb --fsys-tarfile "$tmp"/*.deb | tar -xO ./usr/bin/promtool >"$tmp/promtool"
	chmod 755 "$tmp/promtool"
	mv "$tmp/promtool" "$cache/promtool"
	rm -rf "$tmp"
}

case ${1:-} in
'') ;;
page) packages+=("${page_packages[@]}") ;;
*) die "usage: deps.sh [page]" ;;
esac
[ "$(id -u)" = 0 ] || die 'must run as root'
# shellcheck source=/dev/null
[ "$(. /etc/os-release && echo "${VERSION_CODENAME:-}")" = "$release" ] ||
	die "this is not Debian 12 ($release)"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C

mkdir -p "$cache/kernels"
exec 9>"$cache/lock"
flock 9
rm -rf "$cache"/new.* "$cache"/kernels/new.*

missing=()
for package in "${packages[@]}"; do
	installed "$package" || missing+=("$package")
done
if [ "${#missing[@]}" -gt 0 ]; then
	update
	install "${missing[@]}"
fi

versions=$cache/kernels/versions
complete=1
for s in "${series[@]}"; do
	kver=$(awk -v s="$s" '$1 == s { print $2 }' "$versions" 2>/dev/null) || true
	[ -n "$kver" ] && have_kernel "$kver" || complete=
done
if [ -z "$complete" ]; then
	update
	add_backports
	lines=()
	for s in "${series[@]}"; do
		kver=$(kver_of "$s")
		[ -n "$kver" ] || die "apt offers no linux-image-amd64 of series $s"
		unpack_kernel "$kver"
		lines+=("$s $kver")
	done
	printf '%s\n' "${lines[@]}" >"$versions.new"
	mv "$versions.new" "$versions"
fi

kernel_source
[ "${1:-}" != page ] || promtool
