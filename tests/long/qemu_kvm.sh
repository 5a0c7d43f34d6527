#!/usr/bin/env bash
# Debian's QEMU with KVM inside: the child is Debian's kernel with QEMU on a virtio disk, which runs the
# same kernel as its guest, on two machine types, until that reaches its own user space and powers off.
# Part of `make test-long`, where qemu-system-x86 is installed (it is no package of this project).
. "$(dirname "$0")/../e2e/linux/lib.sh"

qemu=$(command -v qemu-system-x86_64) || { echo 'SKIP linux/qemu-kvm: qemu-system-x86 is not installed'; exit 0; }

initrd guest <<'S'
echo "the guest of QEMU: $(grep -c ^processor /proc/cpuinfo) processor, kvm-clock $(grep -c kvm-clock /sys/devices/system/clocksource/clocksource0/available_clocksource)"
poweroff -f
S
root=$work/root.disk
mkdir -p "$root"/{dev,proc,sys,tmp,lib,lib64,usr/bin,usr/share}
cp "$qemu" "$root/usr/bin/qemu" # where it finds its data beside it
ldd "$qemu" | awk '$3 ~ /^\// { print $3 }' | while read -r lib; do cp -L "$lib" "$root/lib/"; done
cp -L /lib64/ld-linux-x86-64.so.2 "$root/lib64/"
cp -rL /usr/share/seabios /usr/share/qemu "$root/usr/share/" 2>/dev/null
cp -r /usr/lib/x86_64-linux-gnu/qemu "$root/lib/" 2>/dev/null
cp "$vmlinuz" "$root/kernel"
cp "$work/guest.gz" "$root/initrd"
truncate -s 1G "$work/disk"
mke2fs -q -t ext4 -d "$root" "$work/disk" || fail 'mke2fs'
initrd host <<'S'
virtio
load irqbypass kvm kvm-intel
mount /dev/vda /mnt && mount -t devtmpfs dev /mnt/dev && mount -t tmpfs tmp /mnt/tmp
for p in ept vpid unrestricted_guest enable_apicv preemption_timer enable_shadow_vmcs; do
	echo "$p=$(cat /sys/module/kvm_intel/parameters/$p)"
done
for m in microvm q35; do
	echo "machine $m"
	LD_LIBRARY_PATH=/lib chroot /mnt /usr/bin/qemu -accel kvm -M $m -cpu host -m 256M -nodefaults -no-reboot -display none \
		-serial stdio -kernel /kernel -initrd /initrd -append 'console=ttyS0 reboot=t panic=-1' </dev/null
	echo "ended: $?"
done
poweroff -f
S
timeout 900 "$nestor" run --engine jit --memory 1G --kernel "$vmlinuz" --initrd "$work/host.gz" --append console=ttyS0 \
	--disk "$work/disk" >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
expect qemu 'ept=Y' 'vpid=Y' 'unrestricted_guest=Y' 'enable_apicv=Y' 'preemption_timer=Y'
[ "$(grep -c 'the guest of QEMU: 1 processor' "$work/out.txt")" = 2 ] || fail 'not both machine types reach user space'
echo 'ok linux/qemu-kvm'
