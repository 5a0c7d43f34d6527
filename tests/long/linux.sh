#!/usr/bin/env bash
# Debian's kernels for longer: linux-image-amd64 on one and two processors, sixteen processors on one
# worker and on two, a hundred boots in a row. Part of `make test-long`; NESTOR_BOOTS=N for fewer.
. "$(dirname "$0")/../e2e/linux/lib.sh"

initrd warn <<'S'
echo "processors: $(grep -c ^processor /proc/cpuinfo)"
dmesg -r | grep '^<[0-4]>'
poweroff -f
S

boot warn --cpus 16 --workers 1 </dev/null
expect 'sixteen processors, one worker' 'processors: 16$'
expect_no_warnings 'sixteen processors, one worker'
echo 'ok linux/16-processors-1-worker'
boot warn --cpus 16 --workers 2 </dev/null
expect 'sixteen processors, two workers' 'processors: 16$'
expect_no_warnings 'sixteen processors, two workers'
echo 'ok linux/16-processors-2-workers'

for e in 16 32; do
	boot warn --entry $e </dev/null
	expect "$e-bit entry" 'processors: 1$'
	expect_no_warnings "$e-bit entry"
	echo "ok linux/entry-$e"
done

drivers='crct10dif_common crct10dif_generic crc-t10dif crc64 crc64_rocksoft_generic crc64-rocksoft t10-pi
	scsi_common scsi_mod libata ata_piix cdrom sr_mod sd_mod isofs'
# SeaBIOS boots GRUB from a CD, that boots the kernel, and its driver reads the CD and an IDE disk
mkdir -p "$work/cd/boot/grub" "$work/root.cd/m"
for m in $drivers; do
	[ -z "$(module $m)" ] || cp "$(module $m)" "$work/root.cd/m/"
done
{
	echo load $drivers
	cat <<'S'
until [ -e /dev/sr0 ] && [ -e /dev/sda ]; do sleep 0.1; done
mount -t iso9660 /dev/sr0 /mnt
echo "kernel: $(md5sum </mnt/boot/vmlinuz)"
echo "disk: $(md5sum </dev/sda)"
dd if=/mnt/boot/vmlinuz of=/dev/sda bs=64k count=16 conv=fsync
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
} | initrd cd
cp "$vmlinuz" "$work/cd/boot/vmlinuz"
cp "$work/cd.gz" "$work/cd/boot/initrd.gz"
printf 'linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.gz\nboot\n' >"$work/cd/boot/grub/grub.cfg"
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out.txt" 2>&1 || fail 'grub-mkrescue'
# a disk that no firmware takes for a bootable one
disk() { { head -c 512 /dev/zero; head -c 4M /dev/urandom; } >"$work/disk"; }
disk
before=$(md5sum <"$work/disk")
timeout 200 "$nestor" run --memory 512M --cpus 2 --cdrom "$work/cd.iso" --disk "$work/disk,ide" \
	>"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
expect 'SeaBIOS and a GRUB CD' "kernel: $(md5sum <"$vmlinuz")" "disk: $before"
# the controller has no bus-master registers, as the driver says
expect_no_warnings 'SeaBIOS and a GRUB CD' 'BMDMA: BAR4 is zero'
cmp -s -n 1048576 "$work/disk" "$vmlinuz" || fail 'what Linux wrote to the IDE disk is not there'
echo 'ok linux/seabios-grub-cd'

cp "$work/warn.gz" "$work/cd/boot/initrd.gz"
sed -e 's/^linux/linux16/' -e 's/^initrd/initrd16/' -i "$work/cd/boot/grub/grub.cfg"
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out.txt" 2>&1 || fail 'grub-mkrescue'
timeout 100 "$nestor" run --memory 512M --disk "$work/cd.iso,ro" >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
expect 'the 16-bit entry' 'processors: 1$'
expect_no_warnings 'the 16-bit entry'
echo 'ok linux/16-bit-entry'

# without ACPI and I/O APIC the disk's interrupt comes by the chipset's router and the 8259s
initrd pic <<'S'
virtio
echo "sum: $(md5sum </dev/vda)"
echo "line: $(grep virtio /proc/interrupts | tr -s ' ')"
reboot -f
S
cp "$work/pic.gz" "$work/cd/boot/initrd.gz"
printf "linux /boot/vmlinuz console=ttyS0 acpi=off noapic nolapic pci=nomsi\ninitrd /boot/initrd.gz\nboot\n" >"$work/cd/boot/grub/grub.cfg"
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out.txt" 2>&1 || fail 'grub-mkrescue'
disk
timeout 200 "$nestor" run --memory 512M --reset exit --cdrom "$work/cd.iso" --disk "$work/disk" \
	>"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
[ $status = 0 ] && grep -q "sum: $(md5sum <"$work/disk")" "$work/out.txt" && grep -q 'line: .*XT-PIC' "$work/out.txt" ||
	fail "8259s only: status $status"
echo 'ok linux/seabios-pic'

for ((n = 1; n <= ${NESTOR_BOOTS:-100}; n++)); do
	boot warn --cpus $((n % 4 + 1)) </dev/null
	expect "boot $n" "processors: $((n % 4 + 1))\$"
	expect_no_warnings "boot $n"
done
echo "ok linux/$((n - 1))-boots"

[ "$flavour" = linux-image-amd64 ] || NESTOR_BOOTS=2 NESTOR_KERNEL=linux-image-amd64 exec "$0"
