#!/bin/bash
# nestor view on a live session: by URL and by attaching to a run, several at once, the relay daemon
# killed under it. The traced program goes on all the time.
. "${0%/*}/lib.sh"
emit=$NESTOR_BUILD/tests/trace/emit
command -v lttng-sessiond >/dev/null || skip "lttng-sessiond is not installed"
command -v lttng-relayd >/dev/null || skip "lttng-relayd is not installed"
mkdir "$work/trace"
# some 100 s if nobody ends it
"$emit" -n 1280000 -p 5000 -l "$work/trace" >"$work/out" 2>"$work/err" &
run=$!
# a run that was killed leaves its sessions to the next one to tidy up
end_run() {
	kill $run 2>/dev/null
	wait $run
	mkdir "$work/last"
	"$emit" -n 10 "$work/last" >/dev/null 2>&1
	finish
}
trap end_run EXIT
limit=$((SECONDS + 20))
until grep -q '^live ' "$work/out"; do
	[ $SECONDS -lt $limit ] || fail "no live session: $(cat "$work/err")"
	sleep 0.05
done
url=$(sed -n 's/^live //p' "$work/out")

start 100 30 "$NESTOR view $url"
wait_for 'live +[1-9][0-9]* events.* summaries'
wait_for '[└`] . guest +2 .* 66\.'
wait_for 'lost 0  late 0'
keys q
expect_left 0

# attached from outside, with a session of its own
start 100 30 "$NESTOR view $run"
wait_for 'live +[1-9][0-9]* events.* summaries'
wait_for ' A child-a .* 1 '
keys q
expect_left 0

# the relay daemon dies: the viewer says so, the run does not notice
start 100 30 "$NESTOR view $url"
wait_for 'live +[1-9][0-9]* events.* summaries'
relay=$(pgrep -P "$run" lttng-relayd) || fail "the run has no relay daemon"
kill -KILL "$relay"
wait_for 'connecting again'
kill -0 $run || fail "the run has ended"
keys q
expect_left 0
start 100 30 "$NESTOR view $url"
wait_for 'nestor view: .*Connection refused'
expect_left 10
kill -0 $run || fail "the run has ended"
exit 0
