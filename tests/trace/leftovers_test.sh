#!/bin/bash
# A run that crashes leaves its session and a daemon; the next run removes them and itself leaves nothing.
. "${0%/*}/lib.sh"
copy_emitter
as_user mkdir "$work/user/a" "$work/user/b"
as_user "$emit" -n 1000 -k "$work/user/a" >"$work/out" 2>&1
[ $? = 99 ] || fail "crash: $(cat "$work/out")"
ls "$work"/user/nestor/nestor-* >/dev/null 2>&1 || fail "a crash should leave its folder"
pid=$(cat "$work/user/nestor/home/.lttng/lttng-sessiond.pid") || fail "no daemon after the crash"
as_user "$emit" -n 1000 "$work/user/b" >"$work/out" 2>&1 || fail "second run: $(cat "$work/out")"
[ "$(events "$work/user/b")" = "$(number "$work/out" emitted)" ] || fail "second run lost events"
[ ! -e "$work/user/nestor" ] || fail "left behind: $(find "$work/user/nestor")"
for _ in $(seq 50); do
	kill -0 "$pid" 2>/dev/null || exit 0
	sleep 0.1
done
fail "the session daemon still runs"
