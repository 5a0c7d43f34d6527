#!/bin/bash
# nestor report on good and bad traces: one clear line and the documented status, never a hang.
. "${0%/*}/lib.sh"
[ -x "$NESTOR" ] || fail "no program: run make"
mkdir "$work/good" "$work/empty"
"$emit" -n 20000 "$work/good" >"$work/out" 2>&1 || fail "emit: $(cat "$work/out")"

# expect STATUS TEXT ARGUMENTS…
expect() {
	local status=$1 text=$2
	shift 2
	timeout 20 "$NESTOR" report "$@" >"$work/stdout" 2>"$work/stderr"
	local got=$?
	[ $got = "$status" ] || fail "report $*: status $got, not $status: $(head -c 500 "$work/stderr")"
	grep -qF "$text" "$work/stdout" "$work/stderr" || fail "report $*: no '$text' in: $(cat "$work/stderr")"
	[ "$(wc -l <"$work/stderr")" -le 1 ] || fail "report $*: more than a line: $(cat "$work/stderr")"
}
copy() { rm -rf "$work/bad"; cp -r "$work/good" "$work/bad"; }
streams() { find "$work/bad" -name 'events_*' ! -path '*index*'; }

expect 0 "Lost      none" "$work/good"
expect 0 "Exits by reason" "$work/good"
expect 2 "no trace given"
expect 2 "one trace at a time" --svg "$work/good" "$work/good"
expect 2 "live session" net://localhost/host/a/b
expect 10 "No such file" "$work/missing"
expect 10 "not a folder" "$work/out"
expect 10 "no trace in it" "$work/empty"
copy; truncate -s 0 $(streams)
expect 10 "the trace is empty" "$work/bad"
copy; for f in $(streams); do [ -s "$f" ] && truncate -s 70000 "$f"; done
expect 10 "nestor report:" "$work/bad"
copy; truncate -s 500 "$(find "$work/bad" -name metadata)"
expect 10 "cut off" "$work/bad"
copy; truncate -s 0 "$(find "$work/bad" -name metadata)"
expect 10 "nestor report:" "$work/bad"
copy; sed -i 's/nestor:/foobar:/g' "$(find "$work/bad" -name metadata)"
expect 10 "of another program" "$work/bad"
# fields that a future version has renamed or dropped read as 0
copy; sed -i 's/host_cost_ns/hoso_cost_ns/g' "$(find "$work/bad" -name metadata)"
expect 0 "Exits by reason" "$work/bad"

# a recording that still grows: what is there so far, no error
mkdir "$work/growing"
"$emit" -n 20000 -p 10000 "$work/growing" >"$work/out2" 2>&1 &
writer=$!
limit=$((SECONDS + 30 * ${NESTOR_PATIENCE:-1}))
until timeout 20 "$NESTOR" report "$work/growing" >"$work/stdout" 2>"$work/stderr"; do
	[ $SECONDS -lt $limit ] || fail "a growing trace cannot be read: $(cat "$work/stderr")"
done
grep -q '^Events    [1-9]' "$work/stdout" || fail "a growing trace: $(head -n 4 "$work/stdout")"
kill -0 $writer 2>/dev/null || fail "the writer was too fast for this test"
wait $writer || fail "the writer: $(cat "$work/out2")"
