#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
# Puts what DKMS needs, the module's sources and nothing else, into a directory.
# usage: dkms-tree.sh DIRECTORY, by hand /usr/src/wlb-$(cat VERSION); then dkms install wlb/VERSION
set -eu
to=${1:?usage: dkms-tree.sh DIRECTORY}
cd "$(dirname "$0")/.."
find Kbuild VERSION LICENSE kmod include -type f | while read -r file; do
	install -D -m 644 "$file" "$to/$file"
done
sed "s/#MODULE_VERSION#/$(cat VERSION)/" packaging/dkms/dkms.conf >"$to/dkms.conf"
chmod 644 "$to/dkms.conf"
