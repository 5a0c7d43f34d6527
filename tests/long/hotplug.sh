#!/usr/bin/env bash
# tests/long/hotplug.sh - Debian's kernel with ACPI CPU hot-plug: it lets processors go and takes them by a plan, on
# both clocks, nproc follows; one that runs a guest of its own on KVM goes, too; two systems of four processors on two
# workers are asked for processors by parking, get them back when one has gone, and the work that they do is told.
NESTOR=${1:-${NESTOR:-$(dirname "$0")/../../nestor}}
. "$(dirname "$0")/../e2e/linux/lib.sh"

# Brings online what comes, as udev's rule does, and says how many there are when that changes; @n times 0.1 s.
cat >"$work/follow" <<'S'
#!/bin/sh
n=0 old=
while [ $n -lt $1 ]; do
	for c in /sys/devices/system/cpu/cpu[1-9]*; do
		{ [ "$(cat $c/online)" = 0 ] && echo 1 >$c/online; } 2>/dev/null
	done
	new=$(nproc)
	[ "$new" = "$old" ] || echo "processors $new"
	old=$new
	sleep 0.1
	n=$((n + 1))
done
S
chmod +x "$work/follow"
initrd plan "$work/follow" <<'S'
follow 60
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
counts() { sed -n 's/^processors //p' "$work/out.txt" | xargs; }

for options in '--clock virtual' '--clock virtual --workers 2' '--clock host --workers 2'; do
	at=0
	[ "$options" != '--clock host --workers 2' ] || at=3 # it boots slower
	# shellcheck disable=SC2086
	boot plan --cpus 4 --cpu-hotplug "0s-3,$((at + 2))s-1,$((at + 3))s-2,$((at + 4))s+3,$((at + 5))s+1" $options </dev/null
	expect "$options" 'processors 3$'
	[ "$(counts)" = '3 2 1 2 3' ] || fail "$options: processors $(counts)"
	expect_no_warnings "$options"
done
