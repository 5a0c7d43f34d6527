#!/usr/bin/env bash
# The demonstration in short: two child hypervisors on one worker, recorded twice. The trace is read
# back: every kind of transition is there, nothing is lost, both runs are equal in every architectural
# event, levels nest, and what the guests say on their consoles agrees with what the trace says.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
images=$NESTOR_BUILD/l1-child
bad=0

fail() {
	echo "$*"
	bad=1
}

record() {
	timeout 100 "$NESTOR" record --clock virtual --workers 1 --for 600ms -o "$1" \
		"$images/child.elf" --name A --append 'guest=rt,period=10ms,work=2ms guest=batch run=500ms' \
		"$images/child64.elf" --name B --append 'guest=batch guest=idle guest=procs run=500ms' >"$1.out" 2>&1
}

# events without LTTng's stamp, the host's CPU number and the host_ fields
text() {
	babeltrace2 "$1" 2>"$1.err" | sed 's/^[^{]*nestor:/nestor:/; s/{ cpu_id = [0-9]* }, //; s/, host_[a-z_]* = [0-9]*//g'
}

for run in 1 2; do
	record "$work/$run"
	status=$?
	[ $status = 0 ] || { fail "record ended with $status:"; cat "$work/$run.out"; }
	text "$work/$run" >"$work/$run.txt"
done
# engine events are not compared
for run in 1 2; do
	grep -v -E '^nestor:(tlb_fill|tlb_flush|tlb_refresh|code_invalidate|tlb_stats|tlb_machine|tlb_share|spt_alloc|spt_evict|gpt_track|lost|exit_summary|time_summary):' "$work/$run.txt" \
		>"$work/$run.arch"
done
cmp "$work/1.arch" "$work/2.arch" || {
	fail "two runs differ:"
	diff "$work/1.arch" "$work/2.arch" | head -6
}

for kind in vm_start vm_state vcpu_state vm_scheduled vmx_on vmcs_load vm_entry vm_exit child_switch cr3_load \
	process_switch intr_due intr_injected guest_deadline vm_stop; do
	grep -q "^nestor:$kind:" "$work/1.txt" || fail "no $kind event"
done
grep -q 'level = 2' "$work/1.txt" || fail "nothing ran at level 2"
grep -qi 'discarded\|lost' "$work/1.err" && fail "events were lost: $(cat "$work/1.err")"

# sequence numbers have no gap: nothing is lost
awk -F'[ ,]+' '/^nestor:/ && !/tlb_|spt_|gpt_track|code_inv|summary|nestor:lost/ {
	for (i = 1; i < NF; i++) if ($i == "seq") { if (n++ && $(i + 2) != last + 1) gaps++; last = $(i + 2); break }
} END { if (gaps) { print gaps " gaps in seq"; exit 1 } if (n < 5000) { print "only " n " events"; exit 1 } }' "$work/1.txt" ||
	fail "the trace has gaps"

# five guests, so five child VMs; each was entered
children=$(sed -n 's/^nestor:child_switch:.* next_child = \([0-9]*\).*/\1/p' "$work/1.txt" | sort -u | wc -l)
[ "$children" = 5 ] || fail "$children child VMs, not 5"
# A real-time guest's last count in the trace is the one on its console
for vm in A B; do
	grep -q 'l1: ran' "$work/1/$vm.serial" || { fail "$vm did not end as it should:"; tail -5 "$work/1/$vm.serial"; }
done
console=$(sed -n 's/.*guest rt.* misses \([0-9]*\).*/\1/p' "$work/1/A.serial")
trace=$(sed -n 's/^nestor:guest_deadline:.*kind = ( "misses".*count = \([0-9]*\).*/\1/p' "$work/1.txt" | tail -1)
[ "${console:-x}" = "${trace:-y}" ] || fail "misses: console says ${console:-nothing}, trace says ${trace:-nothing}"

exit $bad
