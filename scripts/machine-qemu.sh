# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
# lab.sh's machine in QEMU, emulated instruction by instruction (TCG): any kernel,
# several processors. The root is this machine's, by 9p, under an overlay in memory.
# shellcheck disable=SC2154,SC2034 # lab.sh has: kernel kver out run guest_run work repo ...

guest_mounts() {
	cat <<-'GUEST'
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 out /run/wlb/out
		for port in /sys/class/virtio-ports/*; do
			[ "$(cat "$port/name")" != wlb.out ] || exec >"/dev/${port##*/}" 2>&1
		done
	GUEST
}

guest_end() {
	printf 'sync\necho b >/proc/sysrq-trigger\nsleep 60\n'
}

# What scenarios run and read all the time lies in the guest's memory, over the
# files of this machine. Every open() of those asks this machine, and while the guest
# waits for that a counted clock jumps from timer to timer: seconds for one program.
# It also keeps a rebuild from pulling the programs away under a running scenario.
stage() {
	local programs files
	mapfile -t programs < <(type -P bash sh env cat cp date dmesg grep ls mkdir rm sed sleep sync \
		bc curl ethtool insmod ip ip6tables iperf3 iptables modinfo modprobe nft nginx openssl \
		ping rmmod ss sysctl tc tcpdump tshark dumpcap timeout zsh || true)
	files=(
		"${programs[@]}" /usr/bin/python3
		"$repo/build/userspace/wlbctl" "$repo/build/kmod/$kver/wlb.ko" "$repo/tests/lab"
		/bin /sbin /lib /lib64
		/etc/{ld.so.cache,passwd,group,hosts,host.conf,nsswitch.conf,services,protocols}
		/etc/{localtime,gai.conf,resolv.conf,iproute2,ssl/openssl.cnf}
		/usr/lib/{locale/C.utf8,ssl/openssl.cnf,python3.11}
		/usr/lib/python3/dist-packages/{_pytest,pytest,pluggy,iniconfig,packaging,attr,attrs,scapy}
		/usr/lib/x86_64-linux-gnu/{gconv/gconv-modules.cache,wireshark,zsh} /usr/share/wireshark
		/usr/share/zsh/functions/Completion/{compinit,Base,Unix/_files,Unix/_path_files}
	)
	{
		printf '%s\n' "${files[@]}"
		ldd "${programs[@]}" /usr/bin/python3 "$repo/build/userspace/wlbctl" \
			/usr/lib/python3.11/lib-dynload/*.so 2>/dev/null |
			awk '$2 == "=>" && $3 ~ /^\// { print $3 } $1 ~ /^\// && NF == 2 { print $1 }'
	} | sort -u | while read -r file; do
		[ -e "$file" ] || continue
		if [ -L "$file" ]; then
			echo "$(realpath "$(dirname "$file")")/$(basename "$file")"
		fi
		if [ ! -L "$file" ] || [ ! -d "$file" ]; then
			realpath "$file"
		fi
	done | sort -u | xargs -d '\n' -I{} find {} ! -name '*.a' |
		awk -F / '{ path = "."; print path
			for (i = 2; i <= NF; i++) { path = path "/" $i; print path } }' | sort -u
}

# A stock kernel's way to this machine's files is in modules.
drivers() {
	for module in virtio_pci 9pnet_virtio 9p overlay virtio_console; do
		modprobe -d "$kernel" -S "$kver" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
		name=$(basename "${file%.xz}")
		case $file in
		*.xz) xz -dc "$file" >"$root/modules/$name" ;;
		*) cp "$file" "$root/modules/$name" ;;
		esac
		echo "$name" >>"$root/modules/order"
	done
}

# Hands a root of its own over to its systemd, which starts the command as one service of many.
# No name with wlb-: systemd would give it what the daemons' units have in common.
systemd_first() {
	# shellcheck disable=SC2016 # of the guest's init
	printf '$B mkdir -p /newroot%q && $B mount --bind /host%q /newroot%q\n' "$repo" "$repo" "$repo"
	cat <<-'INIT'
		$B mkdir -p /newroot/run/systemd/system
		$B cat >/newroot/run/systemd/system/lab.service <<UNIT
		[Service]
		ExecStart=/bin/bash /run/wlb/guest
		UNIT
		exec $B switch_root /newroot /sbin/init
	INIT
}

# boot [ROOT]: runs the machine to its end; its status is in $ended, timeout's 124 included.
boot() {
	local root image append speed lower=/stage:/host first clock file
	# shellcheck disable=SC2016 # of the guest's init
	first='$B mount --move . / && exec $B chroot . /bin/bash /run/wlb/guest'
	if [ -n "${1:-}" ]; then
		lower=/host$1
		first=$(systemd_first)
	fi
	root=$work/root
	mkdir -p "$root"/{bin,proc,sys,dev,host,write,newroot,modules,stage}
	cp /bin/busybox "$root/bin/"
	if [ -e "$kernel/boot/vmlinuz-$kver" ]; then
		image=$kernel/boot/vmlinuz-$kver
		drivers
	else
		image=$kernel/arch/x86/boot/bzImage
		: >"$root/modules/order"
	fi
	cat >"$root/init" <<-INIT
	#!/bin/busybox sh
	B=/bin/busybox
	\$B mount -t proc proc /proc
	\$B mount -t sysfs sys /sys
	\$B mount -t devtmpfs dev /dev
	for m in \$(\$B cat /modules/order); do \$B insmod /modules/\$m; done
	\$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host
	\$B mount -t tmpfs write /write
	\$B mkdir /write/upper /write/work
	\$B mount -t overlay -o lowerdir=$lower,upperdir=/write/upper,workdir=/write/work root /newroot
	for d in dev proc sys; do \$B mount --move /\$d /newroot/\$d; done
	\$B mount -t tmpfs run /newroot/run
	\$B mkdir -p /newroot/run/wlb/out
	\$B mount -t 9p -o trans=virtio,version=9p2000.L out /newroot/run/wlb/out
	\$B cp /newroot$guest_run/guest /newroot/run/wlb/guest
	\$B umount /newroot/run/wlb/out
	cd /newroot
	INIT
	printf '%s\n' "$first" >>"$root/init"
	chmod +x "$root/init"
	if [ -z "${1:-}" ]; then
		stage | tar -C / -cf - --no-recursion -T - | tar -C "$root/stage" -xf -
		# what only a debugger reads is a third of it all
		for file in build/userspace/wlbctl "build/kmod/$kver/wlb.ko"; do
			[ ! -e "$root/stage$repo/$file" ] || strip -g "$root/stage$repo/$file"
		done
	fi
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"

	append=()
	# Under emulation a debugging kernel takes minutes to boot with ACPI's interrupts, and
	# half a minute to look for lost memory: User Mode Linux does that.
	[ "$image" = "$kernel/boot/vmlinuz-$kver" ] ||
		append=(acpi=noirq kmemleak=off "${watchful[@]}")
	# The emulated TSC is in step on all CPUs; the other clocks cost a way out of the emulation per
	# reading. But a busy host has it calibrated to run several times too fast, which services
	# with a time limit do not stand.
	clock='tsc=reliable clocksource=tsc'
	# Nor is there udev, whose word of the console a login would wait for, as would the boot.
	[ -z "${1:-}" ] || clock=clocksource=hpet append+=(systemd.wants=lab.service
		systemd.mask=serial-getty@ttyS0.service)
	if [ -n "$icount" ]; then
		speed=(-accel "tcg,thread=single" -icount "shift=0,sleep=off" -smp 1 -rtc "base=utc,clock=vm")
	else
		speed=(-accel "tcg,thread=multi" -smp "$cpus" -rtc base=utc)
	fi
	# a TCG plugin, which would rather have symbols at their places
	[ -z "${WLB_PLUGIN:-}" ] || { speed+=(-plugin "$WLB_PLUGIN") && append+=(nokaslr); }

	# cat: QEMU makes its standard output non-blocking.
	set +e
	timeout "$limit" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
		"${speed[@]}" -cpu max -m "$memory" \
		-kernel "$image" -initrd "$work/initrd" \
		-append "console=ttyS0 loglevel=7 panic=-1 mitigations=off $clock nowatchdog ${append[*]}" \
		-serial "file:$run/log" \
		-add-fd fd=3,set=1 -chardev file,id=out,path=/dev/fdset/1,append=on -device virtio-serial-pci \
		-device virtserialport,chardev=out,name=wlb.out \
		-virtfs local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on \
		-virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap" \
		3>&1 </dev/null | cat
	ended=${PIPESTATUS[0]}
	set -e
}
