#!/bin/bash
# The flight recorder: a snapshot when something happens, with what came before it, names included;
# none when nothing does; one at the end without a condition.
. "${0%/*}/lib.sh"
l1=$NESTOR_BUILD/l1-child
record() {
	local out=$1
	shift
	rm -rf "$out"
	"$NESTOR" record --clock virtual --workers 1 --sched rr -o "$out" "$@" \
		"$l1/child.elf" --name A --append 'guest=rt,period=10ms,work=2ms guest=batch' \
		"$l1/child64.elf" --name B --append 'guest=batch' >"$work/log" 2>&1 || fail "record: $(cat "$work/log")"
}
record "$work/n" --for 50ms --flight 1M --on 'entry_failure|vm_insn_fail'
grep -q 'nothing happened that --on names' "$work/log" || fail "no word about nothing: $(cat "$work/log")"
[ -z "$(find "$work/n" -name metadata)" ] || fail "a snapshot of nothing"

time=800ms
[ -z "${NESTOR_SHORT:-}" ] || time=50ms
record "$work/e" --for $time --flight 256K
"$NESTOR" report "$work/e" | grep -q '^Lost      none' || fail "at the end: $(cat "$work/log")"

"$NESTOR" record --on vm_exit "$l1/child.elf" 2>&1 | grep -q -- '--on: needs --flight' || fail "--on alone"
"$NESTOR" record --flight 1K "$l1/child.elf" 2>&1 | grep -q 'is not a size from 256K' || fail "a tiny size"
[ -z "${NESTOR_SHORT:-}" ] || exit 0

record "$work/t" --for 1500ms --flight 256K --on 'guest_deadline kind=misses count>50'
grep -q 'snapshot 1 after guest_deadline at 1\.' "$work/log" || fail "no snapshot: $(cat "$work/log")"
"$NESTOR" report "$work/t" >"$work/report" || fail "report"
grep -q '^Lost      none' "$work/report" || fail "a snapshot is not whole: $(head -n 5 "$work/report")"
grep -q '^  A  ' "$work/report" || fail "it knows no names: $(sed -n 10,20p "$work/report")"
# what happened is in it, and it is small
first=$(find "$work/t" -maxdepth 1 -name 'snapshot-*' | sort | head -n 1)
babeltrace2 "$first" 2>/dev/null | grep guest_deadline | grep 'kind = .*misses' >"$work/misses" || fail "no misses in it"
at=$(sed -n 's/.*snapshot 1 after guest_deadline at \([0-9]*\)\.\([0-9]*\) s.*/\1\2/p' "$work/log")
grep -q "vtime_ns = $((10#$at))," "$work/misses" || fail "what it was taken for, at $at, is not in it: $(cut -c 1-200 "$work/misses")"
[ "$(du -sk "$first" | cut -f 1)" -le 1024 ] || fail "a snapshot of 256K is large: $(du -sk "$first")"
"$NESTOR" report --json "$first" | python3 -c '
import json, sys
r = json.load(sys.stdin)
assert r["first_ns"] > 500e6, "it begins at the start"
assert r["lost"] == r["sequence_gaps"] == 0
vms = {v["name"]: v["ran_ns"] for v in r["vms"]}
assert abs(sum(vms.values()) - (r["last_ns"] - r["first_ns"])) < 20e6, vms' || fail "its times do not add up"
