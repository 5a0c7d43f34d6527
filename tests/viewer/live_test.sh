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
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
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

# attached from outside, with a session of its own, beside another viewer
terminal new-session -d -s second -x 100 -y 30 "$NESTOR view $url" || fail "tmux does not start"
start 100 30 "$NESTOR view $run"
wait_for 'live +[1-9][0-9]* events.* summaries'
wait_for ' A child-a .* 1 '
terminal capture-pane -t second -p | grep -q 'lost 0 ' || fail "the other viewer does not show"
# LTTng gives a session to one viewer at a time
terminal new-session -d -s third -x 100 -y 30 "$NESTOR view $url; exec sleep 1000"
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
until terminal capture-pane -t third -p | grep -q 'nestor view: .*already a viewer'; do
	[ $SECONDS -lt $limit ] || fail "a second viewer of one session: $(terminal capture-pane -t third -p)"
	sleep 0.05
done
keys q
expect_left 0
terminal send-keys -t second q
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
while terminal has-session -t second 2>/dev/null; do
	[ $SECONDS -lt $limit ] || fail "the second viewer does not leave"
	sleep 0.05
done

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
