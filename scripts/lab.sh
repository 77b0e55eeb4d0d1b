#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a kernel in a machine of its own and runs one command in it as root, in the
# root directory of this repository.
# usage: lab.sh [-i | -r] [-k KERNEL] [-c CPUS] [-m MEGABYTES] [-t SECONDS] [-R ROOT] -- COMMAND [ARGUMENT]...
#
# -k: a stock Debian kernel by series (6.1) or version, in QEMU; or one that watches
# itself (see debug-kernel.sh): smp and kcsan in QEMU, uml as a User Mode Linux of one CPU;
# or native, as uml, for figures.
# -i: one CPU whose clock counts instructions, 1 ns each, and skips idle time: what
# is measured then does not depend on how fast or busy this machine is. In User Mode
# Linux: the clock stands still while anything runs.
# -r: in User Mode Linux, a clock that is this machine's own, for what is timed there: it
# neither stands still nor skips anything. QEMU's is so without it.
#
# -R, in QEMU: a directory with a system of its own, which systemd starts in the guest in place
# of this machine's files; of these only the repository is there, at the same place. Its
# /lib/modules is its own too. The command begins while systemd still starts the rest.
#
# The guest sees this machine's files as they are; what it writes is gone when it
# ends, except in $WLB_OUT (here: build/lab/out, or $WLB_OUT if that is set).
# The guest's kernel log is there at the end as kernel.log. The exit status is the command's;
# 125 if there is no status or the kernel complained, with a line that says why.
set -euo pipefail

usage() {
	sed -n 's/^# usage: /usage: /p' "$0" >&2
	exit 2
}
die() {
	echo "lab: $*" >&2
	exit 125
}

which=6.1 cpus=2 memory=3072 limit=900 icount='' real='' root=''
while getopts irk:c:m:t:R: option; do
	case $option in
	i) icount=1 ;;
	r) real=1 ;;
	k) which=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	t) limit=$OPTARG ;;
	R) root=$(realpath "$OPTARG") ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage
[ -z "$icount" ] || [ -z "$real" ] || usage

scripts=$(dirname "$(realpath "$0")")
repo=$(dirname "$scripts")
case $repo in
/run/* | /dev/*) die "$repo is not visible in the guest, which has a /run and /dev of its own" ;;
esac
kver=$("$scripts/kernels.sh" "$which")
kernel=$("$scripts/kernels.sh" -r "$which")
out=$(realpath -m "${WLB_OUT:-$repo/build/lab/out}")
mkdir -p "$out"
work=$(mktemp -d)
run=$(mktemp -d "$out/.run.XXXXXX")
# Under its last name only when whole: several machines may share $out.
log=$out/kernel.log
: >"$run/log"
# shellcheck disable=SC2317 # called by the trap
finish() {
	sed 's/\r$//' "$run/log" >"$run/kernel.log"
	mv "$run/kernel.log" "$log"
	rm -rf "$work" "$run"
}
trap finish EXIT


up='lab: the machine is up'
# Runs in the guest once its root is in place; $out is not there yet.
guest_run=/run/wlb/out/$(basename "$run")
guest() {
	cat <<-'GUEST'
		export HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		export WLB_OUT=/run/wlb/out
		mkdir -p /run/lock /run/netns /run/wlb/out
	GUEST
	[ -n "$root" ] || cat <<-'GUEST' # systemd does all this
		mkdir -p /dev/shm /dev/pts
		mount -t tmpfs shm /dev/shm
		mount -t devpts pts /dev/pts
		mount -t debugfs debug /sys/kernel/debug
		mount -t tracefs trace /sys/kernel/tracing
		hostname lab
		ip link set lo up
	GUEST
	guest_mounts
	# What a kernel has to say about itself before this is not about us.
	printf 'echo "%s" >/dev/kmsg\n' "$up"
	# A host that has no kernel of its own, as in a container, has no such directory.
	[ -n "$root" ] ||
		printf 'mkdir -p /lib/modules && mount --bind %q /lib/modules\n' "$kernel/lib/modules"
	printf 'if cd %q; then\n(%s)\nelse\nfalse\nfi\n' "$repo" "$(printf '%q ' "$@")"
	printf 'echo $? >%q\n' "$guest_run/status"
	guest_end
}

# For kernels that watch themselves: KASAN tells more than its first find, and the
# caches whose allocations a scenario may let fail.
# shellcheck disable=SC2034 # read by the machines
watchful=(kasan_multi_shot 'slub_debug=A,wlb_flow*')
case $which in
uml) machine=uml ;;
native) machine=uml watchful=() ;;
*) machine=qemu ;;
esac
[ "$machine" = qemu ] || [ -z "$root" ] || die 'only a machine in QEMU takes -R'
# shellcheck source=scripts/machine-qemu.sh
. "$scripts/machine-$machine.sh"
guest "$@" >"$run/guest"
boot "$root"

# How a kernel says that something is wrong, an expression a line. It also warns if it has no memory
# for a tracepoint's fields, which a scenario brings about, and has data races of its own.
splats=$(paste -sd '|' "$scripts/splats")
complaint=$(sed "1,/$up/d" "$run/log" | LC_ALL=C grep -aP -m 1 -A 30 "$splats" || true)
status=$(cat "$run/status" 2>/dev/null || true)
if [ -n "$complaint" ]; then
	die "the kernel complained, see $log:"$'\n'"$complaint"
elif [ "$ended" = 124 ]; then
	die "no end after $limit s (-t); kernel log: $log"
elif [ -z "$status" ]; then
	tail -n 15 "$run/log" >&2
	die "the machine ended (status $ended) before the command did; kernel log: $log"
fi
exit "$status"
