#!/bin/bash
# The views that are lists, on the emitter's fixed events: numbers, tree, places, filter, search,
# folding, sorting, mouse.
. "${0%/*}/lib.sh"
mkdir "$work/trace"
"$NESTOR_BUILD/tests/trace/emit" -r -n 400 "$work/trace" >"$work/log" 2>&1 || fail "emit: $(cat "$work/log")"
start 100 30 "$NESTOR view $work/trace"
wait_for 'read to its end'
# exits by reason: count, mean, p99, max
keys 3
wait_for 'Enter: where they come from'
expect_line 'CPUID' ' child-a 2 CPUID 400'
expect_line 'CPUID' '100.0 120us 300ns 300ns 300ns'
expect_line 'VMREAD' ' child-a 1 VMREAD 400'
expect_line 'VMREAD' ' 0.0 40.0us 100ns'
# what one costs
keys t
wait_for 'what one exit of a guest costs'
expect_line 'L2 CPUID' ' L2 CPUID 400 500ns 300ns'
expect_line 'L1 VMREAD' ' L1 VMREAD 400 1.00 100ns'
# where they come from
keys t
wait_for 'Enter: where they come from'
keys g
keys / V M R E A Enter
keys Enter
wait_for 'level 1 VMREAD: Enter goes back'
expect_line '0x2000' ' 0x2000 child-a 400 400 100ns'
keys Enter
wait_for 'Enter: where they come from'
# a filter of rows, and none again
keys '&'
wait_for 'filter rows'
keys c p u i d Enter
wait_gone 'VMREAD'
expect_line 'CPUID' ' child-a 2 CPUID 400'
wait_for 'filter: cpuid'
keys '&' C-u Enter
wait_for 'VMREAD'
# interrupts, virtual TLB, failures
keys 5
wait_for 'vector kind'
expect_line 'external' ' child-a/guest 48 external 1'
expect_line 'external' ' 40ns 40ns'
keys 4
wait_for '75.00 % of the soft TLB'
expect_line 'translates' ' translates 4,000'
keys 8
wait_for '2 failed VM entries and VMX instructions'
wait_for 'vm_insn_fail +insn=VMLAUNCH'
keys 6
wait_for 'nothing inferred'
# the log: by an expression, searched
keys 7
wait_for '[0-9]+ of the newest [0-9]+ events'
keys '&'
keys -l 'level=2 exit_reason=CPUID guest_rip>0x100d'
keys Enter
wait_for ' 50 of the newest'
wait_for 'guest_rip=0x100f'
keys '&' C-u
keys -l 'event=vm_entry|event=vm_stop !guest_rip=0x1002'
keys Enter
wait_for ' 377 of the newest'
keys /
keys -l 'debug-exit'
keys Enter
wait_for 'vm_stop vm=0 cause=debug-exit'
keys / z z z z Enter
wait_for 'not found'
# the table: folds, sorts, filters
keys 2
wait_for 'since the begin'
wait_for '[└`] a guest'
keys g Enter
wait_gone '[└`] a guest'
expect_line 'A child-a' '+'
keys Enter
wait_for '[└`] a guest'
keys s
wait_for '; by CPU'
keys r
wait_for '; by CPU, reversed'
keys r c
wait_for 'waited +wake longest'
keys c '&' g u e s t Enter
wait_for '[└`] a guest'
expect_line 'A child-a' ' A child-a'
keys '&' C-u x y z Enter
wait_gone 'child-a '
keys '&' C-u Enter
# the mouse: X10 coding, button 1 on the third tab, then the wheel
tab=$(screen | head -n 1 | awk '{ print index($0, "3.Exits") }')
mouse() { keys -l "$(printf '\033[M%b%b%b' "\\x$(printf %x $((32 + $1)))" "\\x$(printf %x $((32 + $2)))" "\\x$(printf %x $((32 + $3)))")"; }
mouse 0 "$tab" 1
wait_for 'Enter: where they come from'
# help scrolls where it does not fit
keys 1 F1
wait_for 'Keys'
keys Escape
wait_gone '^ *Keys'
resize 80 24
keys F1
wait_for 'Up and Down scroll'
keys NPage NPage NPage
wait_for 'Mouse: tabs'
keys Escape
keys q
expect_left 0
[ -z "${NESTOR_SHORT:-}" ] || exit 0
# inference: what the qos policy found out about a guest, and how
"$NESTOR" record --clock virtual --workers 1 --for 600ms --sched qos -o "$work/qos" \
	"$NESTOR_BUILD/l1-child/child.elf" --name A --append 'guest=rt,period=10ms,work=2ms guest=batch' \
	"$NESTOR_BUILD/l1-child/child64.elf" --name B --append 'guest=batch' >"$work/log" 2>&1 || fail "record: $(cat "$work/log")"
start 110 30 "$NESTOR view $work/qos"
wait_for 'read to its end'
keys 6
wait_for '^ A/child 0\.0 +(10\.0|10\.00)ms +[123]\.[0-9]+ms .*admitted'
wait_for '^ A/child 0\.0: [0-9]+ changes'
wait_for ' at +arrival +period +job'
wait_for '^ period: arrivals-on-a-grid \([0-9]+ of [0-9]+, [0-9]+%\)'
wait_for '^ real-time: jobs-end-at-rest \([0-9]+ of [0-9]+, [0-9]+%\)'
keys q
expect_left 0
exit 0
