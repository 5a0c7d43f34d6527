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

mkdir -p "$work/cd/boot/grub"
cp "$vmlinuz" "$work/cd/boot/vmlinuz"
cp "$work/warn.gz" "$work/cd/boot/initrd.gz"
printf 'linux /boot/vmlinuz console=ttyS0\ninitrd /boot/initrd.gz\nboot\n' >"$work/cd/boot/grub/grub.cfg"
grub-mkrescue -o "$work/cd.iso" "$work/cd" >"$work/out.txt" 2>&1 || fail 'grub-mkrescue'
timeout 100 "$nestor" run --memory 512M --cpus 2 --disk "$work/cd.iso,ro" >"$work/out" 2>"$work/err" </dev/null
status=$?
tr -d '\r' <"$work/out" >"$work/out.txt"
expect 'SeaBIOS and a GRUB CD' 'processors: 2$'
expect_no_warnings 'SeaBIOS and a GRUB CD'
echo 'ok linux/seabios-grub-cd'

for ((n = 1; n <= ${NESTOR_BOOTS:-100}; n++)); do
	boot warn --cpus $((n % 4 + 1)) </dev/null
	expect "boot $n" "processors: $((n % 4 + 1))\$"
	expect_no_warnings "boot $n"
done
echo "ok linux/$((n - 1))-boots"

[ "$flavour" = linux-image-amd64 ] || NESTOR_BOOTS=2 NESTOR_KERNEL=linux-image-amd64 exec "$0"
