#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# In the lab: runs a command, then puts the module's coverage counts into
# $WLB_OUT/gcov. The kernel keeps those of a module that was unloaded.
"$@"
status=$?
mkdir -p "$WLB_OUT/gcov"
find /sys/kernel/debug/gcov -name '*.gcda' | while read -r file; do
	cat "$file" >"$WLB_OUT/gcov/${file##*/}"
done
exit "$status"
