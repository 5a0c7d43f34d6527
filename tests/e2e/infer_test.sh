#!/usr/bin/env bash
# What L0 infers of guests and why, as events: the fence decides who is real-time, who runs first is told,
# rests are seen. The same in both tiers.
# One thread: not in MODE=tsan.
. "$(dirname "$0")/../trace/lib.sh"
child=$NESTOR_BUILD/l1-child/child.elf

events_of() { # NAME OPTIONS…
	local name=$1
	shift
	timeout 60 "$NESTOR" record -o "$work/$name" --clock virtual --for 400ms --sched qos "$@" >"$work/out" 2>&1 </dev/null ||
		fail "$name: $(tail -n 3 "$work/out")"
	babeltrace2 "$work/$name" 2>/dev/null | grep -o 'nestor:\(inferred\|fence\|idle\|declared\):.*' | sed 's/{ cpu_id = [0-9]* }, //' >"$work/$name.txt"
}

for engine in interp jit; do
	events_of fence.$engine --engine $engine --fence child=1 --kernel "$child" \
		--append 'sched=prio guest=rt,prio=2 guest=fence guest=idle,prio=0,period=10ms guest=batch'
done
cmp -s "$work/fence.interp.txt" "$work/fence.jit.txt" || fail 'the tiers differ'
in=$work/fence.jit.txt
[ "$(grep -c '^nestor:fence' "$in")" -ge 35 ] || fail 'the fence is not seen'
grep -q 'entity = 2147483648,.*real-time.*runs-before-the-fence.*holds = 1.*confidence = 100' "$in" || fail 'the real-time guest is not found by the fence'
grep -q 'entity = 2147483650,.*real-time.*does-not-run-before-the-fence.*holds = 0' "$in" || fail 'who only rests often passes for real-time'
grep -q 'entity = 2147483648,.*runs-first.*first-after-interrupts.*holds = 1' "$in" || fail 'who runs first is not told'
grep -q 'entity = 2147483648,.*"period".*arrivals-on-a-grid.*holds = 1, period_ns = 1000....,' "$in" || fail 'no period'
grep -q '^nestor:idle.*"hlt".*confidence = 100' "$in" || fail 'no rest is seen'
grep -q 'vcpu_id = 2147483651.*nestor:idle' "$in" && fail 'the batch guest rests'
# A process as the fence: what it shows is the real-time process beside it, at a tenth of the guest's ticks.
events_of plain --sched qos --kernel "$child" --append 'guest=mixed,order=fence'
fence=$(babeltrace2 "$work/plain" | grep -o 'process_switch:.*level = 2.*cr3 = [0-9A-Fx]*' | grep -o 'cr3 = .*' | sort -u | tail -n 1)
for engine in interp jit; do
	events_of process.$engine --engine $engine --fence "child=0/cr3=${fence#cr3 = }" --kernel "$child" --append 'guest=mixed,order=fence'
done
cmp -s "$work/process.interp.txt" "$work/process.jit.txt" || fail 'process fence: the tiers differ'
in=$work/process.jit.txt
grep -q 'process = 2147.*real-time.*runs-before-the-fence.*holds = 1.*confidence = 100' "$in" || fail 'the real-time process is not found by the fence'
[ "$(grep 'real-time.*holds = 1' "$in" | grep -o 'process = [0-9]*' | sort -u | wc -l)" = 1 ] || fail 'others pass for real-time, too'
grep -q 'process = 2147.*"period".*period_ns = \(99[0-9]\{5\}\|100[0-9]\{5\}\),' "$in" || fail "the process's period is not 10 ms"
for bad in '' 1 child cr3=1 child=x child=1/foo=2 child=1/thread=1; do
	"$NESTOR" run --fence "$bad" "$child" >"$work/out" 2>&1
	[ $? = 2 ] && grep -q '^nestor run: --fence' "$work/out" || fail "--fence '$bad': $(cat "$work/out")"
done

# a child that is willing declares what its guest needs; it is told nothing unless the machine's owner wants it
events_of undeclared --kernel "$child" --append 'declare=on guest=rt guest=batch'
grep -q '^guest rt0: nobody takes a declaration' "$work/out" || fail "undeclared: $(cat "$work/out")"
grep -q nestor:declared "$work/undeclared.txt" && fail 'the hypercall is there without --declare'
events_of declared --declare --kernel "$child" --append 'declare=on guest=rt,period=20ms,work=3ms guest=batch'
grep -q 'declar' "$work/out" && fail "declared: $(cat "$work/out")"
grep -q 'nestor:declared.*entity = 2147483648, period_ns = 20000000, budget_ns = 3200000 ' "$work/declared.txt" || fail 'the declaration is not seen'
