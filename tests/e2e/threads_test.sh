#!/usr/bin/env bash
# --track threads: each process of l1-child's procs guest has a kernel stack of its own, so there are as
# many switches between threads as between processes, in both tiers; off, nothing of it is in a trace.
. "$(dirname "$0")/../trace/lib.sh"
child=$NESTOR_BUILD/l1-child/child.elf

record() { # NAME OPTIONS…
	local name=$1
	shift
	timeout 60 "$NESTOR" record -o "$work/$name" --clock virtual --for 300ms "$@" --kernel "$child" \
		--append 'guest=procs,n=3 guest=procs,n=5,mem=16m' >"$work/out" 2>&1 </dev/null || fail "$name: $(cat "$work/out")"
	babeltrace2 "$work/$name" 2>/dev/null | grep -o 'nestor:thread_.*\|nestor:process_switch.*' | sed 's/{ cpu_id = [0-9]* }, //' >"$work/$name.txt"
}

record off
grep -q thread_ "$work/off.txt" && fail 'threads are in the trace without --track'
engines='interp jit'
[ -z "${NESTOR_SHORT:-}" ] || engines=jit
for engine in $engines; do
	record $engine --engine $engine --track threads=4K
	stacks=$(grep 'thread_switch.*level = 2,' "$work/$engine.txt" | grep -v 'prev = 4294967295' |
		grep -o 'vcpu_id = [0-9]*\|stack = [0-9A-Fx]*' | paste - - | sort -u | wc -l)
	[ "$stacks" = 8 ] || fail "$engine: $stacks threads of 8"
	threads=$(grep -c 'thread_switch.*level = 2,' "$work/$engine.txt")
	processes=$(grep -c 'process_switch.*level = 2,' "$work/$engine.txt")
	# a process that starts anew gets another address space and keeps its stack
	[ "$threads" -gt 1000 ] && [ $((processes - threads)) -ge 0 ] && [ $((processes - threads)) -lt 60 ] ||
		fail "$engine: $threads switches between threads, $processes between processes"
done
[ "$engines" = jit ] || cmp -s "$work/interp.txt" "$work/jit.txt" || fail 'the tiers differ'
"$NESTOR" report "$work/jit" >"$work/report" || fail report
grep -q 'guests, between threads' "$work/report" && grep -q '  thread 0x' "$work/report" || fail 'the report has no threads'
"$NESTOR" report --json "$work/jit" | grep -q '"threads":\[{"thread":' || fail 'nor has its JSON'
for bad in thread threads= threads=3K threads=512 threads=2M threads=cr3; do
	"$NESTOR" run --track "$bad" "$child" >"$work/out" 2>&1 && fail "--track $bad is taken"
	grep -q "track.*'$bad'.*power of two" "$work/out" || fail "--track $bad: $(cat "$work/out")"
done
