#!/bin/bash
# nestor view on recorded traces, and on what is none.
. "${0%/*}/lib.sh"
emit=$NESTOR_BUILD/tests/trace/emit
command -v lttng-sessiond >/dev/null || skip "lttng-sessiond is not installed"
mkdir "$work/trace" "$work/empty" "$work/broken"
# two workers with a machine each, 30 ms of virtual time: a cycle of 1.5 us, 1 of them in the guest
"$emit" -n 20000 -w 2 "$work/trace" >"$work/out" 2>&1 || fail "emit: $(cat "$work/out")"
events=$(sed -n 's/.*emitted \([0-9]*\) .*/\1/p' "$work/out")
start 100 30 "$NESTOR view $work/trace"
wait_for "read to its end +$events events"
screen | grep -q 'lost 0 ' || fail "events are missing"
wait_for '^worker 0 +child-a'
wait_for '^worker 1 +child-b'
# guest and VMM share every column 2 : 1
wait_for 'guest child-a/guest \(level 2, 66\.[0-9] %\)'
keys Tab
wait_for 'since the begin: 0.000 s to 0.030 s on 2 workers'
expect_line ' A child-a' '1 stopped'
expect_line '[└`] [ab] guest' '66.'
keys q
expect_left 0

# a recording that is still growing when it is opened, or cut off, shows what there is
stream=$(find "$work/trace" -name 'events_*' -size +4k | head -n 1)
truncate -s 12000 "$stream"
start 100 30 "$NESTOR view $work/trace"
wait_for 'failed|read to its end|cannot|trace'
keys q
wait_for '\[over\]'

for what in "$work/empty" "$work/missing" /dev/null; do
	start 100 30 "$NESTOR view $what"
	wait_for "nestor view: $what: "
	expect_left 10
done
echo nonsense >"$work/broken/metadata"
start 100 30 "$NESTOR view $work/broken"
wait_for "nestor view: .*broken"
expect_left 10
start 100 30 "$NESTOR view a b"
wait_for 'one trace, URL or process at a time'
expect_left 2
start 100 30 "$NESTOR view 999999999"
wait_for 'nestor view: '
expect_left 6
"$NESTOR" view "$work/trace" </dev/null >"$work/out" 2>&1 && fail "no terminal, but success"
grep -q 'needs a terminal' "$work/out" || fail "no terminal: $(cat "$work/out")"
exit 0
