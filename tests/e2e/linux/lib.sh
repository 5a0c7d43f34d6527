# lib.sh - Debian's own kernel as the child VMM, for the tests linux_*_test.sh; sourced, not run.
#
# Fetches linux-image-cloud-amd64 and busybox-static by apt-get download once into the cache
# (${XDG_CACHE_HOME:-~/.cache}/nestor) and unpacks them there; a second run does not touch the network.
set -u
[ -z "${NESTOR_SHORT:-}" ] || { echo 'under ThreadSanitizer a boot takes longer than all other tests'; exit 77; }
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nestor=$(realpath "${NESTOR:-$here/../../../nestor}") || exit 2
cache=${XDG_CACHE_HOME:-$HOME/.cache}/nestor
work=$(mktemp -d) || exit 2
trap 'kill $(jobs -p) 2>/dev/null; rm -rf "$work"' EXIT
flavour=${NESTOR_KERNEL:-linux-image-cloud-amd64}

give_up() { echo "no network: cannot download $1"; exit 77; }
fail() { echo "$*"; [ -e "$work/out.txt" ] && tail -n 30 "$work/out.txt"; grep -v 'nothing is there' "$work/err" 2>/dev/null | tail -n 5; exit 1; }

# unpacked PACKAGE: folder of the package's files; it is downloaded when the cache has none
unpacked() {
	local deb
	deb=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | sort -V | tail -n 1)
	if [ -z "$deb" ]; then
		(cd "$cache" && apt-get -qq download "$1") >&2 || return 1
		deb=$(find "$cache" -maxdepth 1 -name "$1_*.deb" | sort -V | tail -n 1)
	fi
	local to=$cache/unpacked/$(basename "$deb" .deb)
	if [ ! -d "$to" ]; then
		rm -rf "$to.new" && mkdir -p "$to.new" && dpkg-deb -x "$deb" "$to.new" && mv "$to.new" "$to" || return 1
	fi
	echo "$to"
}

# The package that the metapackage $flavour stands for, from the cache or as apt knows it.
kernel_package() {
	local suffix=${flavour#linux-image-} found
	found=$(find "$cache" -maxdepth 1 -regex ".*/linux-image-[0-9.]*-[0-9]*-${suffix}_.*\.deb" -printf '%f\n' | sort -V | tail -n 1)
	if [ -n "$found" ]; then
		echo "${found%%_*}"
		return
	fi
	local ask="apt-cache depends $flavour"
	$ask 2>/dev/null | grep -q 'Depends: linux-image-' || $([ "$(id -u)" = 0 ] || echo sudo) apt-get -qq update >&2
	$ask | sed -n 's/.*Depends: *\(linux-image-[0-9][^ ]*\)/\1/p' | head -n 1
}

mkdir -p "$cache" || exit 2
exec 9>"$cache/lock"
flock 9 # tests run side by side
package=$(kernel_package)
kernel=$([ -n "$package" ] && unpacked "$package") || give_up "$flavour"
busybox=$(unpacked busybox-static)/bin/busybox && [ -x "$busybox" ] || give_up busybox-static
exec 9>&-
vmlinuz=$(echo "$kernel"/boot/vmlinuz-*)
modules=$(echo "$kernel"/lib/modules/*)

module() { find "$modules" -name "$1.ko"; }

# initrd NAME [FILE…]: an initial RAM disk with busybox, the FILEs in /bin, and /init from standard input.
# The same each time, byte for byte: even its length decides, by way of the kernel's random numbers, where the kernel
# and its stacks lie, and so how often a translation is walked for.
initrd() {
	local name=$1 root=$work/root.$1 m
	shift
	mkdir -p "$root"/{bin,dev,proc,sys,mnt,etc,m}
	cp "$busybox" "$@" "$root/bin/"
	for m in irqbypass kvm kvm-intel virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci \
		virtio_blk failover net_failover virtio_net virtio_console virtio-rng; do
		[ -z "$(module $m)" ] || cp "$(module $m)" "$root/m/"
	done
	echo 'root::0:0:root:/:/bin/sh' >"$root/etc/passwd"
	{
		echo '#!/bin/busybox sh'
		echo '/bin/busybox --install -s /bin'
		echo 'mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev'
		echo 'load() { for m; do [ -e /m/$m.ko ] && insmod /m/$m.ko; done; }'
		echo 'virtio() { load virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk \'
		echo '	failover net_failover virtio_net virtio_console virtio-rng; }'
		cat
	} >"$root/init"
	chmod +x "$root/init"
	(cd "$root" && find . -exec touch -h -d @0 {} + && find . | LC_ALL=C sort |
		"$busybox" cpio -o -H newc -R 0:0 --renumber-inodes --ignore-devno 2>/dev/null | gzip -1n) >"$work/$name.gz"
	[ "$(stat -c %s "$work/$name.gz")" -gt 1000 ] || fail "$name: no initial RAM disk"
}

# initrd_l2 NAME: the same a level down: the kernel that NAME is for has its KVM boot the same kernel, with the
# /init from standard input, which ends by "reboot -f"; its console is part of the one above, after "L2: "
initrd_l2() {
	[ -x "$work/boot_l2" ] || gcc -O1 -static -o "$work/boot_l2" "$here/boot_l2.c" "$here/vmm.c" || fail boot_l2.c
	initrd "$1.l2"
	cp "$vmlinuz" "$work/vmlinuz"
	mv "$work/$1.l2.gz" "$work/l2.gz"
	initrd "$1" "$work/boot_l2" "$work/vmlinuz" "$work/l2.gz" <<-'S'
		load irqbypass kvm kvm-intel
		boot_l2 /bin/vmlinuz /bin/l2.gz
		poweroff -f
	S
}

# boot NAME OPTIONS…: run with that initrd; $status, the console in $work/out.txt, the rest in $work/err
boot() {
	local name=$1
	shift
	timeout 100 "$nestor" run --memory 512M --kernel "$vmlinuz" --initrd "$work/$name.gz" \
		--append console=ttyS0 "$@" >"$work/out" 2>"$work/err"
	status=$?
	tr -d '\r' <"$work/out" >"$work/out.txt"
}

# expect WHAT PATTERN…: each is in the output, the system powered off, status 0
expect() {
	local what=$1 p
	shift
	[ "$status" = 0 ] || fail "$what: status $status"
	for p in "$@" 'reboot: Power down'; do
		grep -q -- "$p" "$work/out.txt" || fail "$what: missing: $p"
	done
}

# CPUID leaf 0Ah says which architectural events the performance counters lack; the kernel repeats it.
uncounted="core: CPUID marked event: '\(cache\|branch\) [a-z]*' unavailable"

# Under the host's clock a guest sees how long the host ran something else, as any guest on a busy host does.
host_was_late='hrtimer: interrupt took [0-9]* ns'

# expect_no_warnings WHAT [PATTERN]: no line of the kernel's log of warning or worse but for those that
# PATTERN matches; whoever gives one says why they are right. The machine as such gives none.
expect_no_warnings() {
	if grep '^<[0-4]>' "$work/out.txt" | grep -v -e "$uncounted" -e "$host_was_late" -e "${2:-^$}"; then
		fail "$1: the kernel warns"
	fi
}

# until_output FILE PATTERN: wait until it is there, 60 s at most
until_output() {
	local i
	for ((i = 0; i < 600; i++)); do
		grep -q -- "$2" "$1" 2>/dev/null && return 0
		sleep 0.1
	done
	return 1
}
