#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# A Debian 12 of its own in a directory, for the installation test: what a host has before wlb
# is installed, the kernels of the test machines included. Prints the directory, in the cache
# under a hash of what made it; builds it if it is not there, as root, by debootstrap, from where
# this machine's apt has its packages from. The kernels' headers are links into the cache.
set -euo pipefail
scripts=$(dirname "$(realpath "$0")")
cache=${WLB_CACHE:-/var/cache/wlb}
die() { printf 'debian-root: %s\n' "$*" >&2; exit 1; }

release=bookworm
packages=(
	systemd systemd-sysv dbus kmod dkms libelf1 pahole # a host with DKMS
	# what wlb depends on and recommends: no package comes from elsewhere during the test
	init-system-helpers iproute2 nftables procps libboost-program-options1.74.0 libcap2
	libnl-3-200 libnl-genl-3-200 libnl-nf-3-200 libprometheus-cpp-core1.0 libspdlog1.10
	libssl3 libtomlplusplus3
	ccache curl nginx-light python3-pytest # the test's own
)
# With what they depend on. The rest of a kernel would only make depmod slow.
modules=(
	virtio_pci 9pnet_virtio 9p overlay virtio_console
	veth ip_gre nf_conntrack nf_nat nf_tables nft_ct nft_chain_nat nft_nat nft_redir nft_masq nft_tproxy
	tcp_diag inet_diag nfnetlink nfnetlink_log nf_log_syslog sch_netem
)

hash=$(cat "$0" "$cache/kernels/versions" | sha256sum | cut -c1-16)
root=$cache/roots/$hash
if [ ! -e "$root" ]; then
	# The $() are apt's format, not ours.
	# shellcheck disable=SC2016
	mirror=$(apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' \
		'Created-By: Packages' | awk -v r=$release '$1 == r && $2 == "main" { print $3; exit }')
	[ -n "$mirror" ] || die "apt has no source for Debian's $release main"
	mkdir -p "$cache/roots"
	rm -rf "$cache"/roots/*
	new=$cache/roots/new
	debootstrap --variant=minbase --include="$(IFS=,; echo "${packages[*]}")" "$release" "$new" \
		"$mirror" >"$cache/roots/log" 2>&1 || die "debootstrap failed: $(tail -n 5 "$cache/roots/log")"
	rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
	# for all kernels with headers, whichever runs here
	echo 'autoinstall_all_kernels="yes"' >>"$new/etc/dkms/framework.conf"
	ln -sf /dev/null "$new/etc/systemd/system/nginx.service"
	while read -r _ kver; do
		from=$("$scripts/kernels.sh" -r "$kver")
		to=$new/lib/modules/$kver
		mkdir -p "$to"
		cp "$from/lib/modules/$kver"/modules.{builtin,builtin.modinfo,order} "$to"
		ln -s "$("$scripts/kernels.sh" -b "$kver" | xargs realpath)" "$to/build"
		for module in "${modules[@]}"; do
			modprobe -d "$from" -S "$kver" --show-depends "$module"
		done | awk '$1 == "insmod" { print $2 }' | sort -u | while read -r file; do
			install -D -m 644 "$file" "$to/${file#"$from/lib/modules/$kver/"}"
		done
		depmod -b "$new" "$kver"
	done <"$cache/kernels/versions"
	mv "$new" "$root"
fi
echo "$root"
