#!/usr/bin/env bash
# CPU pressure: machines of four processors on two workers are told apart from one that has its own; with --parking
# (or parking = yes in a lab) processors are parked, under either clock, without it none is; the event is in the
# trace; each worker's profile is printed.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
sed "s#\.\./\.\./build/rel#$NESTOR_BUILD#" "$NESTOR_SRC/docs/labs/lab6-four.ini" >two.ini
sed '/machine B/,$d' two.ini >one.ini
bad=0

# run LAB OPTION...: the counters in $work/stats
run() {
	timeout 60 "$NESTOR" run --serial none --stats "$@" >out 2>stats </dev/null
	local status=$?
	[ $status = 0 ] || { echo "$*: status $status"; tail -n 5 stats; bad=1; }
}
counter() { awk -v m="$1" -v c="sched.$2" '$1 == m && $2 == c {print $3}' stats; }
wants() { # MACHINE COUNTER CONDITION
	local v
	v=$(counter "$1" "$2")
	[ -n "$v" ] && [ "$v" "$3" "$4" ] || { echo "$1 $2 is '$v', not $3 $4"; bad=1; }
}

grep -vE '^(clock|insn-time|charge)' two.ini >host.ini
run host.ini --for 1s --sched qos --parking --clock host --workers 2
wants A ran_us -gt 1000
[ -z "${NESTOR_SHORT:-}" ] || exit $bad

run two.ini --for 1s --sched qos --parking --record -o trace
wants A pressure -gt 200
wants A parkings -ge 1
wants B parkings -ge 1
if command -v babeltrace2 >/dev/null && [ -d trace ]; then
	babeltrace2 trace 2>/dev/null | grep -q 'cpu_pressure:.*"park"' || { echo 'no event cpu_pressure'; bad=1; }
fi
run two.ini --for 1s --sched qos
wants A pressure -gt 550
wants A parkings -eq 0
sed 's/^workers.*/&\nparking = yes/' two.ini >parking.ini
run parking.ini --for 1s --sched credit
wants A parkings -ge 1
run two.ini --for 1s --sched rr --parking
wants A parkings -eq 0
run one.ini --for 1s --sched qos+state --workers 4 --parking
wants A pressure -lt 100
wants A parkings -eq 0
wants worker3 slices -ge 0
exit $bad
