#!/bin/bash
# Two runs of one lab under the virtual clock give the same architectural events, in the same order.
# One thread: not in MODE=tsan.
. "${0%/*}/lib.sh"
child=$NESTOR_BUILD/l1-child/child.elf
[ -x "$NESTOR" ] && [ -e "$child" ] || fail "no program or no child image: run make"
for i in 1 2; do
	"$NESTOR" record --clock virtual --for 60ms -o "$work/$i" \
		"$child" --name A --append "guest=rt guest=batch" --serial none \
		"$child" --name B --append "guest=batch guest=idle guest=procs" --serial none \
		>"$work/out" 2>&1 </dev/null || fail "run $i: $(cat "$work/out")"
	babeltrace2 --plugin-path="$NESTOR_BUILD" "$work/$i" -c sink.nestor.events >"$work/events.$i" ||
		fail "reading run $i"
done
lines=$(wc -l <"$work/events.1")
[ "$lines" -gt 1000 ] || fail "only $lines events"
cmp "$work/events.1" "$work/events.2" || fail "the runs differ: $(diff "$work/events.1" "$work/events.2" | head -10)"
