#!/bin/bash
# A live session beside the recording: decisions and summaries, which add up to what is recorded.
. "${0%/*}/lib.sh"
command -v lttng-relayd >/dev/null || skip "lttng-relayd is not installed"
mkdir "$work/trace"
"$emit" -n 100000 -p 1000 -l "$work/trace" >"$work/out" 2>"$work/err" &
run=$!
for _ in $(seq $((100 * ${NESTOR_PATIENCE:-1}))); do grep -q '^live ' "$work/out" && break; sleep 0.1; done
url=$(sed -n 's/^live //p' "$work/out")
[ -n "$url" ] || fail "no live session: $(cat "$work/err")"
timeout 20 babeltrace2 --input-format=lttng-live "$url" >"$work/live" 2>"$work/live.err"
wait $run || fail "emit: $(cat "$work/err")"
grep -q nestor:exit_summary: "$work/live" || fail "no summaries: $(head -5 "$work/live" "$work/live.err")"
grep -q nestor:vm_state: "$work/live" || fail "no states"
grep -q nestor:vm_exit: "$work/live" && fail "exits one by one in a live session"
[ "$(number "$work/out" discarded)" = 0 ] || fail "the recording lost events"
[ "$(events "$work/trace")" = "$(number "$work/out" emitted)" ] || fail "the recording lacks events"

# a viewer that comes to a run that is only being recorded
mkdir "$work/trace2"
mkfifo "$work/hold" "$work/go_on"
exec 9<>"$work/hold" 8<>"$work/go_on"
"$emit" -e -n 10000000 -p 5000 "$work/trace2" <"$work/go_on" >"$work/out2" 2>"$work/err" 8>&- 9>&- &
run=$!
watch=
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
until grep -qs '^live ' "$work/watch"; do
	if [ -z "$watch" ] || ! kill -0 "$watch" 2>/dev/null; then # at first the run is not recorded yet
		"$emit" -W $run <"$work/hold" >"$work/watch" 2>"$work/watch.err" 8>&- 9>&- &
		watch=$!
	fi
	kill -0 $run 2>/dev/null && [ $SECONDS -lt $limit ] || fail "no watching: $(cat "$work/watch.err")"
	sleep 0.1
done
url=$(sed -n 's/^live //p' "$work/watch")
babeltrace2 --input-format=lttng-live "$url" >"$work/live2" 2>"$work/live2.err" 8>&- 9>&- &
reader=$!
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
until grep -q nestor:exit_summary: "$work/live2" || ! kill -0 $reader || [ $SECONDS -ge $limit ]; do sleep 0.1; done
kill $reader 2>/dev/null
exec 9>&-
wait $watch || fail "watching failed: $(cat "$work/watch.err")"
exec 8>&-
wait $run || fail "emit: $(cat "$work/err")"
grep -q nestor:exit_summary: "$work/live2" || fail "the watcher saw no summaries: $(cat "$work/live2.err")"
[ "$(events "$work/trace2")" = "$(number "$work/out2" emitted)" ] || fail "watching disturbed the recording"
exit 0
