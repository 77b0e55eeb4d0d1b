# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# lab.sh's machine as a process: User Mode Linux. One processor, but that at nearly
# its full speed, and a clock that skips what time nobody uses, unless it is to be real.
# shellcheck disable=SC2154,SC2034 # lab.sh has: kernel kver out run guest_run work repo ...

guest_mounts() {
	printf 'mount -t hostfs -o %q none /run/wlb/out\n' "$out"
	# The terminal is this machine's standard output; make it one of bytes.
	printf 'exec >/dev/tty1 2>&1 </dev/null\nstty -F /dev/tty1 raw\n'
}

guest_end() {
	printf 'sync\nexec busybox poweroff -f\n'
}

boot() {
	local init=$run/init clock=(time-travel)
	[ -z "$icount" ] || clock=(time-travel=inf-cpu)
	[ -z "$real" ] || clock=()
	cat >"$init" <<-INIT
		#!/bin/bash
		export PATH=/usr/sbin:/usr/bin:/sbin:/bin
		mount -t tmpfs write /mnt
		mkdir /mnt/upper /mnt/work /mnt/root
		mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root /mnt/root
		cd /mnt/root
		mount -t proc proc proc
		mount -t sysfs sys sys
		mount -t devtmpfs dev dev
		mount -t tmpfs run run
		mkdir -p run/wlb
		cp $(printf %q "$run/guest") run/wlb/guest
		pivot_root . mnt
		exec chroot . /bin/bash /run/wlb/guest
	INIT
	chmod +x "$init"
	set +e
	{
		TMPDIR=/dev/shm timeout "$limit" "$kernel/linux" "mem=${memory}M" \
			rootfstype=hostfs rootflags=/ ro "init=$init" "uml_dir=$work/uml" "${clock[@]}" \
			"${watchful[@]}" loglevel=7 panic=-1 con=null con0=null,fd:1 con1=null,fd:4 \
			>>"$run/log" 2>&1 </dev/null
		echo $? >"$run/ended"
	} 4>&1 | cat
	set -e
	ended=$(cat "$run/ended")
}
