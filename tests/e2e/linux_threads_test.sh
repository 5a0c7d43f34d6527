#!/usr/bin/env bash
# --track threads on Debian's kernel: the switches found are the context switches that the kernel itself
# counts, kernel threads among them, and its console says the same as without.
. "$(dirname "$0")/linux/lib.sh"
command -v babeltrace2 >/dev/null || { echo 'babeltrace2 is not installed'; exit 77; }

initrd threads <<'S'
i=0; while [ $i -lt 20 ]; do ls / | cat >/dev/null; i=$((i + 1)); done
grep ctxt /proc/stat
poweroff -f
S
boot threads --clock virtual </dev/null
expect 'without' '^ctxt '
cp "$work/out" "$work/without"
timeout 100 "$nestor" record -o "$work/trace" --memory 512M --kernel "$vmlinuz" --initrd "$work/threads.gz" --append console=ttyS0 \
	--clock virtual --track threads >"$work/out" 2>"$work/err" </dev/null || fail "record: status $?"
cmp -s "$work/out" "$work/without" || fail 'following threads changes what the guest sees'
counted=$(tr -d '\r' <"$work/out" | sed -n 's/^ctxt //p')
babeltrace2 "$work/trace" 2>/dev/null | grep 'nestor:thread_switch' >"$work/switches"
found=$(grep -c . "$work/switches")
threads=$(grep -o 'stack = [0-9A-Fx]*' "$work/switches" | sort -u | wc -l)
# some come after the count was read: the shell's end and the power-off
[ "$found" -ge "$counted" ] && [ "$found" -le $((counted + 40)) ] || fail "$found switches found, the kernel counts $counted"
[ "$threads" -ge 40 ] || fail "$threads threads: where are the kernel's?"
