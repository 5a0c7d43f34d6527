#!/usr/bin/env bash
# Debian's SeaBIOS as the firmware: starts GRUB from a CD image and from a disk image of its own, which
# start an image of this project; the VGA text screen shows what they wrote; GRUB's reboot starts anew.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; tail -n 20 "$work/out" 2>/dev/null; exit 1; }
bios=/usr/share/seabios/bios-256k.bin
guest=$NESTOR_BUILD/tests/guests/long64.elf

mkdir -p "$work/cd/boot/grub"
cp "$guest" "$work/cd/boot/guest"
cat >"$work/cd/boot/grub/grub.cfg" <<'G'
serial --unit=0 --speed=115200
terminal_output console serial
echo "menu of the CD"
multiboot /boot/guest
boot
G
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out" 2>&1 || fail 'grub-mkrescue'

run() { timeout 60 "$NESTOR" run --clock virtual --insn-time 10ns --memory 64M "$@" >"$work/out" 2>"$work/err" </dev/null; }

passes() { # WHAT OPTIONS…
	local what=$1
	shift
	run "$@"
	[ $? = 1 ] && grep -q '^passed' "$work/err" || fail "$what: $(grep -v 'nothing is there' "$work/err" | tail -n 5)"
}
passes 'IDE disk' --disk "$work/cd.iso,ro,ide"
passes 'virtio disk' --disk "$work/cd.iso,ro"
passes CD --firmware "$bios" --cpus 2 --vga-dump "$work/screen" --cdrom "$work/cd.iso"
grep -q 'nothing is there' "$work/err" && fail "firmware is reported: $(head -n 3 "$work/err")"
grep -q 'menu of the CD' "$work/out" || fail 'GRUB says nothing on the serial port'
grep -q 'menu of the CD' "$work/screen" || fail "the screen does not show it: $(cat "$work/screen")"

# a disk: GRUB's boot sector, its core behind it, the configuration and the guest in the core's memory disk
cat >"$work/early" <<'G'
serial --unit=0 --speed=115200
terminal_output serial
echo "menu of the disk"
multiboot (memdisk)/guest
boot
G
mkdir "$work/memdisk" && cp "$guest" "$work/memdisk/guest" && tar -C "$work/memdisk" -cf "$work/memdisk.tar" guest
grub-mkimage -O i386-pc -p '(memdisk)' -c "$work/early" -m "$work/memdisk.tar" -o "$work/core" \
	biosdisk part_msdos tar multiboot serial terminal echo memdisk || fail 'grub-mkimage'
cat /usr/lib/grub/i386-pc/boot.img "$work/core" >"$work/disk"
truncate -s 4M "$work/disk"
run --disk "$work/disk"
[ $? = 1 ] && grep -q '^passed' "$work/err" || fail "disk image: $(grep -v 'nothing is there' "$work/err" | tail -n 5)"
grep -q 'menu of the disk' "$work/out" || fail 'GRUB of the disk says nothing'

# a reset goes through the firmware again, twice, as the disk remembers
sed -e 's/^multiboot.*/reboot/' -e '/^boot/d' "$work/early" >"$work/again"
grub-mkimage -O i386-pc -p '(memdisk)' -c "$work/again" -o "$work/core" biosdisk part_msdos serial terminal echo reboot ||
	fail 'grub-mkimage'
cat /usr/lib/grub/i386-pc/boot.img "$work/core" >"$work/disk"
truncate -s 4M "$work/disk"
run --for 10s --disk "$work/disk"
[ "$(grep -c 'menu of the disk' "$work/out")" -ge 3 ] || fail 'GRUB does not start again after its reboot'
run --reset exit --disk "$work/disk"
[ $? = 0 ] && [ "$(grep -c 'menu of the disk' "$work/out")" = 1 ] || fail 'a reset does not end the run'

refused() { # PATTERN OPTIONS…
	local pattern=$1
	shift
	run "$@" && fail "$*: runs"
	[ "$(wc -l <"$work/err")" = 1 ] && grep -q -- "$pattern" "$work/err" || fail "$*: $(cat "$work/err")"
}
head -c 1000 /dev/zero >"$work/short"
refused 'multiple of 64 KiB' --firmware "$work/short" --disk "$work/disk"
refused 'No such file' --firmware /nowhere --disk "$work/disk"
refused 'shorter than a block' --cdrom "$work/short"
refused 'No such file' --cdrom /nowhere
refused 'more than 2 IDE' --disk "$work/disk,ide" --disk "$work/disk,ide" --disk "$work/disk,ide"
refused '8 MiB' --firmware "$bios" --memory 4M
