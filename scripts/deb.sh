#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Builds the packages wlb and wlb-dkms of the tree as it is, but for build/.
# usage: deb.sh [-v VERSION] [-o DIRECTORY]
# -> build/deb/*.deb; the version is the file VERSION's unless -v says otherwise.
# lintian has looked at them: an error of its is one here, and warnings are shown.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cat VERSION) out=build/deb
while getopts v:o: option; do
	case $option in
	v) version=$OPTARG ;;
	o) out=$OPTARG ;;
	*) exit 2 ;;
	esac
done

rm -rf "$out"
tree=$out/tree/wlb
mkdir -p "$tree"
# What git knows or would; a tree without git has nothing but sources and build/.
if git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	git ls-files -zco --exclude-standard
else
	find . -path ./build -prune -o -type f -print0
fi | while IFS= read -r -d '' file; do
	[ ! -e "$file" ] || printf '%s\0' "$file"
done | tar -cf - --null -T - | tar -xf - -C "$tree"
mv "$tree/packaging/debian" "$tree/debian"
echo "$version" >"$tree/VERSION"
# debhelper takes the version from the changelog: one that is not there yet comes on top.
if [ "$(dpkg-parsechangelog -l "$tree/debian/changelog" -S Version)" != "$version" ]; then
	{
		printf 'wlb (%s) unstable; urgency=medium\n\n  * Version %s.\n\n -- %s  %s\n\n' \
			"$version" "$version" \
			"$(dpkg-parsechangelog -l packaging/debian/changelog -S Maintainer)" "$(date -R)"
		cat packaging/debian/changelog
	} >"$tree/debian/changelog"
fi

# The compiler's results are the same in whatever directory: see make check's.
cache=${WLB_CACHE:-/var/cache/wlb}
if [ -d /usr/lib/ccache ] && mkdir -p "$cache/ccache" 2>/dev/null; then
	export PATH=/usr/lib/ccache:$PATH CCACHE_DIR=$cache/ccache CCACHE_BASEDIR=$PWD/$tree
	export CCACHE_NOHASHDIR=1
fi
(cd "$tree" && dpkg-buildpackage --no-sign -us -uc -b -j"$(nproc)")
mv "$out"/tree/*.{deb,changes,buildinfo} "$out/"
rm -r "$out/tree"
lintian --fail-on error --allow-root "$out"/*.changes
ls "$out"/*.deb
