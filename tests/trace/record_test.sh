#!/bin/bash
# Two workers record at full speed: nothing is lost, stock babeltrace2 and the plugin read it back.
. "${0%/*}/lib.sh"
mkdir "$work/trace"
"$emit" -n 50000 -w 2 "$work/trace" >"$work/out" 2>&1 || fail "emit: $(cat "$work/out")"
emitted=$(number "$work/out" emitted)
[ "$(number "$work/out" discarded)" = 0 ] || fail "events were discarded: $(cat "$work/out")"
found=$(events "$work/trace")
[ "$found" = "$emitted" ] || fail "emitted $emitted, found $found"
[ "$(events "$work/trace" vm_exit:)" = 300000 ] || fail "exits: $(events "$work/trace" vm_exit:)"
[ "$(events "$work/trace" exit_summary)" = 0 ] || fail "summaries are in the recording"

# fields are typed and named
babeltrace2 "$work/trace" 2>/dev/null | grep -m 1 vm_exit: >"$work/line"
grep -q 'exit_reason = ( "CPUID" : container = 10 ), guest_rip = 0x1000, isa = ( "64-bit"' "$work/line" ||
	fail "vm_exit does not read well: $(cat "$work/line")"
babeltrace2 "$work/trace" 2>/dev/null | grep -m 1 vm_stop: | grep -q 'status = -1 ' || fail "signed fields"
babeltrace2 "$work/trace" 2>/dev/null | grep -m 1 child_state: |
	grep -q 'name = "guest", child = 10[01], vm = [01], parent = 4294967295, depth = 2, eptp = 0x7000, inferred = 0' ||
	fail "child_state does not read well"

# the plugin counts the same
babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/trace" -c sink.nestor.summary \
	--params='format="json"' >"$work/json" 2>"$work/err" || fail "plugin: $(cat "$work/err")"
for want in "\"events\":$emitted," '"lost":0,' '"child_switches":2,' '"vm_entries":100002,' \
	'"level":2,"reason":"CPUID","number":10,"count":100000,"reflected":100000,"kept":0,"charge_ns":1000000,"host_cost_ns":30000000' \
	'"name":"child-a"' '"name":"child-b"' '"misses":4'; do
	grep -qF "$want" "$work/json" || fail "summary lacks $want: $(head -c 3000 "$work/json")"
done
babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/trace" -c sink.nestor.exits >"$work/exits" || fail "exits"
grep -qE '2 CPUID +100,000 +100,000 +0 ' "$work/exits" || fail "exits: $(cat "$work/exits")"
lines=$(babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/trace" -c sink.nestor.schedule | wc -l)
[ "$lines" = 200000 ] || fail "schedule: $lines lines"
if [ -x "$NESTOR" ]; then
	"$NESTOR" report --json "$work/trace" >"$work/json2" || fail "nestor report"
	grep -qF "\"events\":$emitted," "$work/json2" || fail "nestor report: $(head -c 2000 "$work/json2")"
	grep -qF '"sequence_gaps":0' "$work/json2" || fail "gaps: $(head -c 2000 "$work/json2")"
fi
