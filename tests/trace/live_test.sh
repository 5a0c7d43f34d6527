#!/bin/bash
# A live session beside the recording: decisions and summaries, which add up to what is recorded.
. "${0%/*}/lib.sh"
command -v lttng-relayd >/dev/null || skip "lttng-relayd is not installed"
mkdir "$work/trace"
"$emit" -n 100000 -p 1000 -l "$work/trace" >"$work/out" 2>"$work/err" &
run=$!
for _ in $(seq 100); do grep -q '^live ' "$work/out" && break; sleep 0.1; done
url=$(sed -n 's/^live //p' "$work/out")
[ -n "$url" ] || fail "no live session: $(cat "$work/err")"
timeout 20 babeltrace2 --input-format=lttng-live "$url" >"$work/live" 2>"$work/live.err"
wait $run || fail "emit: $(cat "$work/err")"
grep -q nestor:exit_summary: "$work/live" || fail "no summaries: $(head -5 "$work/live" "$work/live.err")"
grep -q nestor:vm_state: "$work/live" || fail "no states"
grep -q nestor:vm_exit: "$work/live" && fail "exits one by one in a live session"
[ "$(number "$work/out" discarded)" = 0 ] || fail "the recording lost events"
[ "$(events "$work/trace")" = "$(number "$work/out" emitted)" ] || fail "the recording lacks events"
exit 0
