#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a test machine and shows who serves pages with wlb and without, and how
# soon. usage: demo.sh [SERIES|KVER]
# The machine's clock counts instructions (lab.sh -i), so the figures come from the
# configured delays and the code, not from how busy this machine is.
# Writes build/results/demo.json. Exit status 1 if a figure is not as predicted.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
kver=$(scripts/kernels.sh "${1:-6.1}")
echo "demo: building for Linux $kver"
scripts/build-kmod.sh "$kver" -s
make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/demo
mkdir -p build/results "$WLB_OUT"
rm -f build/results/demo.json "$WLB_OUT/demo.json"
echo "demo: booting Linux $kver"
status=0
scripts/lab.sh -i -k "$kver" -t 420 -- env "WLB_COMMIT=$commit" python3 tests/lab/demo.py || status=$?
if [ -e "$WLB_OUT/demo.json" ]; then
	mv "$WLB_OUT/demo.json" build/results/demo.json
	echo "demo: build/results/demo.json written"
fi
exit "$status"
