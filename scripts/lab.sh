#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only
# Boots a stock Debian kernel in an emulated machine and runs one command in it
# as root, in the root directory of this repository.
# usage: lab.sh [-i] [-k SERIES|KVER] [-c CPUS] [-m MEGABYTES] [-t SECONDS] -- COMMAND [ARGUMENT]...
#
# -i: one CPU whose clock counts instructions, 1 ns each, and skips idle time: what
# is measured then does not depend on how fast or busy this machine is.
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

which=6.1 cpus=2 memory=3072 limit=900 icount=
while getopts ik:c:m:t: option; do
	case $option in
	i) icount=1 ;;
	k) which=$OPTARG ;;
	c) cpus=$OPTARG ;;
	m) memory=$OPTARG ;;
	t) limit=$OPTARG ;;
	*) usage ;;
	esac
done
shift $((OPTIND - 1))
[ $# -gt 0 ] || usage

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

# Runs in the guest once its root is in place.
guest_run=/run/wlb/out/$(basename "$run")
{
	cat <<-'GUEST'
		export HOME=/root LANG=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
		export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
		export WLB_OUT=/run/wlb/out
		mkdir -p /run/lock /run/netns /run/wlb/out /dev/shm /dev/pts
		mount -t tmpfs shm /dev/shm
		mount -t devpts pts /dev/pts
		mount -t tracefs trace /sys/kernel/tracing
		mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288 out /run/wlb/out
		hostname lab
		ip link set lo up
		for port in /sys/class/virtio-ports/*; do
			[ "$(cat "$port/name")" != wlb.out ] || exec >"/dev/${port##*/}" 2>&1
		done
	GUEST
	printf 'mount --bind %q /lib/modules\n' "$kernel/lib/modules"
	printf 'if cd %q; then\n(%s)\nelse\nfalse\nfi\n' "$repo" "$(printf '%q ' "$@")"
	printf 'echo $? >%q\n' "$guest_run/status"
	printf 'sync\necho b >/proc/sysrq-trigger\nsleep 60\n'
} >"$run/guest"

# What scenarios run and read all the time lies in the guest's memory, over the
# files of this machine. Every open() of those asks this machine, and while the guest
# waits for that a counted clock jumps from timer to timer: seconds for one program.
# It also keeps a rebuild from pulling the programs away under a running scenario.
stage() {
	local programs files
	mapfile -t programs < <(type -P bash sh env cat cp date dmesg grep ls mkdir rm sed sleep sync \
		bc curl ethtool insmod ip ip6tables iptables modinfo modprobe nft nginx openssl \
		ping rmmod ss sysctl tc tcpdump tshark dumpcap timeout || true)
	files=(
		"${programs[@]}" /usr/bin/python3
		"$repo/build/userspace/wlbctl" "$repo/build/kmod/$kver/wlb.ko" "$repo/tests/lab"
		/bin /sbin /lib /lib64
		/etc/{ld.so.cache,passwd,group,hosts,host.conf,nsswitch.conf,services,protocols}
		/etc/{localtime,gai.conf,resolv.conf,iproute2,ssl/openssl.cnf}
		/usr/lib/{locale/C.utf8,ssl/openssl.cnf,python3.11}
		/usr/lib/python3/dist-packages/{_pytest,pytest,pluggy,iniconfig,packaging,attr,attrs,scapy}
		/usr/lib/x86_64-linux-gnu/{gconv/gconv-modules.cache,wireshark} /usr/share/wireshark
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

root=$work/root
mkdir -p "$root"/{bin,proc,sys,dev,host,write,newroot,modules,stage}
cp /bin/busybox "$root/bin/"
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
cat >"$root/init" <<INIT
#!/bin/busybox sh
B=/bin/busybox
\$B mount -t proc proc /proc
\$B mount -t sysfs sys /sys
\$B mount -t devtmpfs dev /dev
for m in \$(\$B cat /modules/order); do \$B insmod /modules/\$m; done
\$B mount -t 9p -o trans=virtio,version=9p2000.L,ro,cache=loose,msize=524288 host /host
\$B mount -t tmpfs write /write
\$B mkdir /write/upper /write/work
\$B mount -t overlay -o lowerdir=/stage:/host,upperdir=/write/upper,workdir=/write/work root /newroot
for d in dev proc sys; do \$B mount --move /\$d /newroot/\$d; done
\$B mount -t tmpfs run /newroot/run
\$B mkdir -p /newroot/run/wlb/out
\$B mount -t 9p -o trans=virtio,version=9p2000.L out /newroot/run/wlb/out
\$B cp /newroot$guest_run/guest /newroot/run/wlb/guest
\$B umount /newroot/run/wlb/out
cd /newroot
\$B mount --move . /
exec \$B chroot . /bin/bash /run/wlb/guest
INIT
chmod +x "$root/init"
stage | tar -C / -cf - --no-recursion -T - | tar -C "$root/stage" -xf -
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initrd"

if [ -n "$icount" ]; then
	speed=(-accel "tcg,thread=single" -icount "shift=0,sleep=off" -smp 1 -rtc "base=utc,clock=vm")
else
	speed=(-accel "tcg,thread=multi" -smp "$cpus" -rtc base=utc)
fi

# The emulated TSC is in step on all CPUs; the other clocks cost a way out of the
# emulation per reading. cat: QEMU makes its standard output non-blocking.
set +e
timeout "$limit" qemu-system-x86_64 -nodefaults -no-user-config -display none -no-reboot \
	"${speed[@]}" -cpu max -m "$memory" \
	-kernel "$kernel/boot/vmlinuz-$kver" -initrd "$work/initrd" \
	-append "console=ttyS0 loglevel=7 panic=-1 mitigations=off tsc=reliable clocksource=tsc nowatchdog" \
	-serial "file:$run/log" \
	-add-fd fd=3,set=1 -chardev file,id=out,path=/dev/fdset/1,append=on -device virtio-serial-pci \
	-device virtserialport,chardev=out,name=wlb.out \
	-virtfs local,path=/,mount_tag=host,security_model=none,multidevs=remap,readonly=on \
	-virtfs "local,path=$out,mount_tag=out,security_model=none,multidevs=remap" \
	3>&1 </dev/null | cat
qemu=${PIPESTATUS[0]}
set -e

splat='WARNING: |BUG: |Oops|rcu: .*stall|refcount_t|general protection fault|Kernel panic|unregister_netdevice: waiting|soft lockup|blocked for more than|UBSAN:|KASAN:'
complaint=$(grep -aE -m 1 -A 30 "$splat" "$run/log" || true)
status=$(cat "$run/status" 2>/dev/null || true)
if [ -n "$complaint" ]; then
	die "the kernel complained, see $log:"$'\n'"$complaint"
elif [ "$qemu" = 124 ]; then
	die "no end after $limit s (-t); kernel log: $log"
elif [ -z "$status" ]; then
	tail -n 15 "$run/log" >&2
	die "the machine ended (qemu: $qemu) before the command did; kernel log: $log"
fi
exit "$status"
