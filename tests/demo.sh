#!/usr/bin/env bash
# The demonstration: two child hypervisors on one worker, recorded for ten seconds of virtual time,
# then the report, computed from the trace.
set -u
cd "$(dirname "$0")/.." || exit 2

out=build/demo-trace
images=build/rel/l1-child
seconds=${DEMO_SECONDS:-10}

rm -rf "$out"
./nestor record --clock virtual --workers 1 --for "${seconds}s" -o "$out" \
	"$images/child-a.elf" --name A --append 'guests=rt,batch' \
	"$images/child-b.elf" --name B --append 'guests=batch,idle,procs' || exit

echo
./nestor report "$out" || exit
cat <<EOF

The same run in the viewer:      ./nestor view $out
Live, while it runs:             ./nestor run --clock virtual --idle real --view \\
                                   $images/child-a.elf $images/child-b.elf
Every event as text:             babeltrace2 $out
EOF
