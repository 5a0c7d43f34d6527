#!/usr/bin/env bash
# tests/long/threads.sh - --track threads at two levels: Debian's kernel runs Debian's kernel with its KVM, and at each
# level the switches found are the context switches that the kernel there counts. Some 10 s.
NESTOR=${1:-${NESTOR:-$(dirname "$0")/../../nestor}}
. "$(dirname "$0")/../e2e/linux/lib.sh"
command -v babeltrace2 >/dev/null || { echo 'SKIP threads: babeltrace2 is not installed'; exit 0; }

# by the kernel's log: what programs write to the console of the inner one is lost when it ends
initrd_l2 deep <<'S'
i=0; while [ $i -lt 20 ]; do ls / | cat >/dev/null; i=$((i + 1)); done
grep ctxt /proc/stat >/dev/kmsg
reboot -f
S
sed -i 's#^poweroff#grep ctxt /proc/stat >/dev/kmsg\npoweroff#' "$work/root.deep/init"
(cd "$work/root.deep" && find . | "$busybox" cpio -o -H newc 2>/dev/null | gzip -1) >"$work/deep.gz"

timeout 300 "$nestor" record -o "$work/trace" --memory 512M --kernel "$vmlinuz" --initrd "$work/deep.gz" --append console=ttyS0 \
	--clock virtual --track threads >"$work/out" 2>"$work/err" </dev/null || fail "record: status $?"
tr -d '\r' <"$work/out" >"$work/out.txt"
babeltrace2 "$work/trace" 2>/dev/null | grep 'nestor:thread_switch' >"$work/switches"
bad=0
for level in 1 2; do
	grep "level = $level," "$work/switches" >"$work/level"
	counted=$([ $level = 1 ] && sed -n '/^L2/d; s/.*\] ctxt //p' "$work/out.txt" || sed -n 's/^L2: .*\] ctxt //p' "$work/out.txt")
	found=$(grep -c . "$work/level")
	threads=$(grep -o 'stack = [0-9A-Fx]*' "$work/level" | sort -u | wc -l)
	echo "level $level: $found switches found, the kernel counts $counted; $threads threads"
	# some come after the count was read: the shell's end and the power-off
	[ "${counted:-0}" -gt 500 ] && [ "$found" -ge "$counted" ] && [ "$found" -le $((counted + 40)) ] && [ "$threads" -ge 40 ] || bad=1
done
[ $bad = 0 ] && echo 'ok threads at two levels'
exit $bad
