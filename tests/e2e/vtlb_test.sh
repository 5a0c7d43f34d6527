#!/usr/bin/env bash
# The virtual TLB's options and counters, end to end: simulated memory nodes; page tables tracked with
# processors on several threads as on one; both engines; events.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

fail() {
	echo "$*"
	cat out
	bad=1
}

run() {
	timeout 100 "$NESTOR" run --stats "$@" "$NESTOR_BUILD/l1-child/child64.elf" \
		--append 'guest=procs guest=batch run=100ms' >out 2>&1 </dev/null
	status=$?
	[ $status = 1 ] || fail "nestor run $* ended with $status"
}
# counter NAME CONDITION: its value as awk sees it
counter() {
	awk -v name="vtlb.$1" '$2 == name { found = 1; exit !($3 '"$2"') } END { if (!found) exit 1 }' out ||
		fail "counter $1 is not $2"
}

engines='interp jit'
[ -z "${NESTOR_SHORT:-}" ] || engines=interp
for engine in $engines; do
	run --clock virtual --engine $engine --vtlb-nodes 4
	counter nodes '== 4'
	counter spt_local '> 0'
	counter gpts_tracked '> 0'
	run --clock host --cpus 2 --workers 2 --engine $engine
	# On a busy host little may happen in that time.
	awk '$2 == "vtlb.flushes" { exit !($3 > 150) } ' out && counter gpt_writes '> 0'
done
# Parts left out.
run --clock virtual --vtlb-without retention,sharing,refresh,lock-free
for part in gpts_tracked shared_links refresh_steps; do
	counter $part '== 0'
done
timeout 10 "$NESTOR" run --vtlb-without sharing,x y >out 2>&1 && fail '--vtlb-without x was accepted'
grep -q "no part called 'x'" out || fail 'no clear message'
# The mechanisms as events, and in the report.
timeout 100 "$NESTOR" record -o trace --clock virtual --vtlb-nodes 2 "$NESTOR_BUILD/l1-child/child64.elf" \
	--append 'guest=procs guest=batch run=50ms' >out 2>&1 </dev/null
[ $? = 1 ] || fail 'nestor record failed'
babeltrace2 trace >events 2>out || fail 'the trace cannot be read'
for kind in tlb_fill tlb_flush spt_alloc gpt_track tlb_refresh tlb_stats tlb_machine; do
	grep -q "nestor:$kind:" events || fail "no $kind event"
done
"$NESTOR" report trace >out 2>&1 || fail 'no report'
grep -q 'guest page tables under guard' out || fail 'the report lacks the counters'
timeout 10 "$NESTOR" run --vtlb-nodes 17 x >out 2>&1 && fail '--vtlb-nodes 17 was accepted'
grep -q 'vtlb-nodes' out || fail 'no clear message'
exit $bad
