#!/bin/bash
# Every component of the plugin in stock babeltrace2, on the emitter's fixed events: compared with
# tests/trace/golden. After an intended change: NESTOR_GOLDEN=update tests/run trace/plugin
. "${0%/*}/lib.sh"
golden=$NESTOR_SRC/tests/trace/golden
mkdir "$work/a" "$work/b"
"$emit" -r -n 40 "$work/a" >"$work/log" 2>&1 || fail "emit: $(cat "$work/log")"
"$emit" -r -n 7 "$work/b" >"$work/log" 2>&1 || fail "emit: $(cat "$work/log")"

# golden NAME: standard input, without what names this host
golden() {
	sed "s/$(hostname)/HOST/g; s|uid/[0-9]*/[0-9]*-bit|UID|g" >"$work/$1"
	if [ "${NESTOR_GOLDEN:-}" = update ]; then
		mkdir -p "$golden" && cp "$work/$1" "$golden/$1"
	fi
	diff -u "$golden/$1" "$work/$1" >"$work/diff" || fail "$1: $(cat "$work/diff")"
}
# check NAME ARGUMENTS…: what babeltrace2 prints is that golden file
check() {
	local name=$1
	shift
	babeltrace2 --plugin-path="$NESTOR_BUILD" "$@" >"$work/out" 2>"$work/err" ||
		fail "babeltrace2 $*: $(tail -n 3 "$work/err")"
	golden "$name" <"$work/out"
}

for sink in summary exits switches deadlines vtlb failures schedule events; do
	check $sink.txt "$work/a" -c sink.nestor.$sink
done
check summary.json "$work/a" -c sink.nestor.summary --params='format="json"'
check schedule-long.txt "$work/a" -c sink.nestor.schedule --params='min-ns=+1000'
check levels.txt "$work/a" -c filter.nestor.levels
# two traces at once: each is told by itself
check two.txt "$work/a" "$work/b" -c sink.nestor.summary
check two-levels.txt "$work/a" "$work/b" -c filter.nestor.levels -c sink.utils.counter

for bad in 'format="xml"' 'colour=yes' 'min-ns=-5'; do
	babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/a" -c sink.nestor.schedule --params="$bad" \
		>"$work/out" 2>&1 && fail "takes $bad"
	grep -q "is not known" "$work/out" || fail "$bad: no reason: $(cat "$work/out")"
done
exit 0
