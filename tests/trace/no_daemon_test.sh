#!/bin/bash
# Without LTTng's daemon, and when it dies in mid-run: one line, and the run goes on.
. "${0%/*}/lib.sh"
copy_emitter
as_user mkdir "$work/user/a" "$work/user/b"
as_user env PATH=/nonexistent "$emit" -n 1000 "$work/user/a" >"$work/out" 2>"$work/err" ||
	fail "without a daemon: $(cat "$work/err")"
grep -q "no trace: lttng-sessiond is not installed" "$work/err" || fail "no clear line: $(cat "$work/err")"
[ "$(number "$work/out" exits)" = 3000 ] || fail "the run did not go on"
[ ! -e "$work/user/nestor" ] || fail "left behind: $(find "$work/user/nestor")"

as_user "$emit" -n 300000 -p 1000 "$work/user/b" >"$work/out" 2>"$work/err" &
run=$!
pid_file=$work/user/nestor/home/.lttng/lttng-sessiond.pid
for _ in $(seq $((100 * ${NESTOR_PATIENCE:-1}))); do [ -s "$pid_file" ] && break; sleep 0.1; done
sleep 2.5
pid=$(cat "$pid_file") || fail "no daemon"
kill -9 "$pid" || fail "cannot kill the daemon"
wait $run || fail "the run ended: $(cat "$work/err")"
[ "$(number "$work/out" exits)" = 900000 ] || fail "the run did not go on: $(cat "$work/out")"
grep -q "session daemon is gone; the run goes on without a trace" "$work/err" ||
	fail "no clear line: $(cat "$work/err")"
[ "$(number "$work/out" dropped)" -gt 0 ] || fail "nothing counted as dropped"
[ "$(events "$work/user/b")" -gt 1000 ] || fail "what was recorded before cannot be read"
[ ! -e "$work/user/nestor" ] || fail "left behind: $(find "$work/user/nestor")"
