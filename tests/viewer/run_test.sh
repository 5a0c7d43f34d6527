#!/bin/bash
# nestor run --view: the run's own viewer, its end, leaving it, and no terminal.
. "${0%/*}/lib.sh"
command -v lttng-sessiond >/dev/null || skip "lttng-sessiond is not installed"
command -v lttng-relayd >/dev/null || skip "lttng-relayd is not installed"
images=$NESTOR_BUILD/l1-child
[ -e "$images/child.elf" ] || skip "l1-child is not built"
cd "$work" || exit 1
time=300ms
[ -z "${NESTOR_SHORT:-}" ] || time=30ms
run="$NESTOR run --clock virtual --workers 1 -o $work/out $images/child.elf --name A --append 'guest=rt,period=10ms,work=2ms guest=batch'"

# the run ends first: its last picture stays, what it said comes afterwards
start 100 30 "$run --for $time --view"
wait_for 'run ended; q leaves' 60
wait_for ' A A +1 '
wait_for '[└`] b .* 2 '
# the virtual TLB's counters: what counts has a rate, what is a level has none
keys 4
wait_for '^   walks +[1-9][0-9,]* +[0-9.]+/s  walks of guest tables'
wait_for '^   spts_limit +[1-9][0-9,]* {10,}shadow page tables that the memory limit'
wait_for '^   spt_allocs +[1-9][0-9,]* +[0-9.]+/s  shadow page tables handed out'
keys q
expect_left 0

# the user leaves first: the run ends
start 100 30 "$run --for 1000s --view"
wait_for 'live +[1-9][0-9]* events.* summaries' 60
keys q
expect_left 0

# a signal for the run ends both
start 100 30 "sh -c 'echo \$\$ >$work/pid; exec $(printf %s "$run" | sed "s/'/\"/g") --for 1000s --view'"
wait_for 'live +[1-9][0-9]* events.* summaries' 60
kill -TERM "$(cat "$work/pid")"
expect_left 130

# no terminal: one line, and the run goes on
$NESTOR run --clock virtual --for 20ms -o "$work/out" --view "$images/child.elf" --append guest=batch \
	>"$work/log" 2>&1 </dev/null || fail "the run did not go on: $(cat "$work/log")"
grep -q 'without --view' "$work/log" || fail "nothing was said: $(cat "$work/log")"
# an unknown terminal: the same
start 100 30 "TERM=nonsense $run --for 20ms --view"
wait_for 'no live view: unknown terminal TERM=nonsense; .*the run goes on'
expect_left 0
exit 0
