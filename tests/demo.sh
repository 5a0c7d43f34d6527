#!/usr/bin/env bash
# The demonstration: two child hypervisors on one worker (docs/labs/demo.ini), recorded for five seconds of virtual
# time; the report, computed from the trace; then what round robin makes of the same.
set -u
cd "$(dirname "$0")/.." || exit 2

out=build/demo-trace
lab=docs/labs/demo.ini
for=${DEMO_SECONDS:-5}s

rm -rf "$out"
./nestor record "$lab" --for "$for" -o "$out" || exit
echo
./nestor report "$out" || exit

cat <<EOF

The real-time guest of A needs 2 of every 10 ms, and tells nobody. The same under round robin, and under the
scheduler that finds out (nestor sched-compare --policy rr --policy qos $lab):

EOF
./nestor sched-compare --no-alone --for "$for" --policy rr --policy qos "$lab" || exit
cat <<EOF

The run in the viewer:           ./nestor view $out
Live, while it runs:             ./nestor run $lab --idle real --view
Every event as text:             babeltrace2 $out
EOF
