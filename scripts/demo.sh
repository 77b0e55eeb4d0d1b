#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a test machine and shows who serves pages with wlb and without, and how
# soon. usage: demo.sh [race|wccp] [SERIES|KVER]
# The machine's clock counts instructions (lab.sh -i), so the figures come from the
# configured delays and the code, not from how busy this machine is.
# Its figures are in build/results/demo.json or wccp.json, where checks add theirs. Exit status 1 if a figure is not as predicted.
set -euo pipefail

scripts=$(dirname "$(realpath "$0")")
cd "$scripts/.."
what=race
case ${1:-} in race | wccp) what=$1; shift ;; esac
case $what in
	race) name=demo play=tests/lab/demo.py ;;
	wccp) name=wccp play=tests/lab/demo_wccp.py ;;
esac
kver=$(scripts/kernels.sh "${1:-6.1}")
echo "demo: building for Linux $kver"
scripts/build-kmod.sh "$kver" -s
make -s -C userspace all
commit=$(git rev-parse --verify -q HEAD || true)
export WLB_OUT=$PWD/build/lab/demo-$what
mkdir -p build/results "$WLB_OUT"
rm -f "$WLB_OUT/$name.json"
[ "$name" = wccp ] || rm -f "build/results/$name.json"
echo "demo: booting Linux $kver"
status=0
scripts/lab.sh -i -k "$kver" -t 1800 -- env "WLB_COMMIT=$commit" python3 "$play" || status=$?
if [ -e "$WLB_OUT/$name.json" ]; then
	scripts/result.py "$name.json" <"$WLB_OUT/$name.json"
	echo "demo: build/results/$name.json written"
fi
exit "$status"
