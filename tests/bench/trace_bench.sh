#!/usr/bin/env bash
# What recording costs: CPU time of the program with and without, on back-to-back nested round trips
# (an event) and on the demo (per cent); and what reading a trace back costs.
set -u
images=$NESTOR_BUILD/l1-child
rounds=${ROUNDTRIPS:-200000}
work=$(mktemp -d "${TMPDIR:-/tmp}/nestor-trace-bench.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
command -v lttng-sessiond >/dev/null || { echo "lttng-sessiond is not installed"; exit 0; }

# cpu_us COMMAND…: CPU time in microseconds, the least of three
cpu_us() {
	local i
	for i in 1 2 3; do
		rm -rf "$work/trace"
		{ TIMEFORMAT='%U %S'; time "$@" >/dev/null 2>&1 </dev/null; } 2>&1
	done | awk '{ t = ($1 + $2) * 1000000; if (!n++ || t < least) least = t } END { printf "%d\n", least }'
}
events() { "$NESTOR" report --json "$work/trace" | sed 's/.*"events":\([0-9]*\).*/\1/'; }

trip="--clock virtual $images/rtbench.elf --append"
plain=$(cpu_us "$NESTOR" run $trip "bench=cpuid n=$rounds")
start=$(cpu_us "$NESTOR" record -o "$work/trace" $trip "bench=cpuid n=1")
traced=$(cpu_us "$NESTOR" record -o "$work/trace" $trip "bench=cpuid n=$rounds")
n=$(events)
awk -v d=$((traced - start - plain)) -v n="$n" -v r="$rounds" 'BEGIN {
	printf "recording     %6.1f ns an event, %.1f events a nested round trip\n", d * 1000 / n, n / r }'

demo=(--clock virtual --for "${DEMO_SECONDS:-2}s" --serial none "$images/child.elf" --name A
	--append "guest=rt guest=batch" "$images/child64.elf" --name B --append "guest=batch guest=idle guest=procs")
plain=$(cpu_us "$NESTOR" run "${demo[@]}")
traced=$(cpu_us "$NESTOR" record -o "$work/trace" "${demo[@]}")
awk -v p="$plain" -v t="$traced" 'BEGIN { printf "the demo      %6.1f %% more CPU time\n", (t - p) * 100 / p }'

mkdir "$work/big"
"$NESTOR_BUILD/tests/trace/emit" -n 250000 "$work/big" >/dev/null
report=$(cpu_us "$NESTOR" report "$work/big")
stock=$(cpu_us babeltrace2 "$work/big" -c sink.utils.counter --params='step=+0')
awk -v r="$report" -v s="$stock" 'BEGIN {
	printf "reading       %6.2f M events/s by nestor report, %.2f times the rate of sink.utils.counter\n", 1.0 / (r / 1e6), s / r }'
