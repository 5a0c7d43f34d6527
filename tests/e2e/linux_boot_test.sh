#!/usr/bin/env bash
# Debian's kernel boots unmodified to user space on one and two processors, under both clocks, twice
# the same under the virtual one, without a warning; a user logs in at the terminal, and it powers off.
. "$(dirname "$0")/linux/lib.sh"

gcc -O1 -static -o "$work/perf_count" "$here/perf_count.c" || fail perf_count.c
initrd warn "$work/perf_count" <<'S'
perf_count
echo "processors: $(grep -c ^processor /proc/cpuinfo)"
echo "clock: $(cat /sys/devices/system/clocksource/clocksource0/current_clocksource)"
dmesg -r | grep '^<[0-4]>'
poweroff -f
S
initrd login <<'S'
exec setsid getty -L ttyS0 115200 vt100
S

boot warn </dev/null
expect 'one processor' 'processors: 1$' 'clock: tsc'
expect_no_warnings 'one processor'

boot warn --cpus 2 </dev/null
expect 'two processors' 'processors: 2$' 'clock: tsc'
expect_no_warnings 'two processors'

boot warn --clock virtual --engine interp </dev/null
cp "$work/out" "$work/first"
boot warn --clock virtual --engine jit </dev/null
expect 'virtual clock' 'processors: 1$' 'perf: 20[0-9]\{5\} 20[0-9]\{5\} 2[0-9] 100[0-9]\{4\} [0-9]\{1,3\}$'
cmp -s "$work/first" "$work/out" || fail 'two runs under the virtual clock, one by each engine, differ'

initrd again <<'S'
virtio
if [ "$(head -c 5 /dev/vda)" = again ]; then poweroff -f; fi
echo 'the first boot'
echo again >/dev/vda; sync
reboot -f
S
truncate -s 1M "$work/disk"
boot again --cpus 2 --reset reboot --disk "$work/disk" </dev/null
expect reboot 'the first boot' 'reboot: machine restart'

mkfifo "$work/in"
: >"$work/out"
{
	until_output "$work/out" 'login:' && echo root
	until_output "$work/out" '^[~/] #' && echo 'echo typed-$((6 * 7)); poweroff -f'
	until_output "$work/out" 'Power down'
} >"$work/in" &
boot login <"$work/in"
expect login '^typed-42'
