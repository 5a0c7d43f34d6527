#!/usr/bin/env bash
# The demonstration: two child hypervisors on one worker, recorded for ten seconds of virtual time,
# then the report, computed from the trace.
set -u
cd "$(dirname "$0")/.." || exit 2

out=build/demo-trace
images=build/rel/l1-child
seconds=${DEMO_SECONDS:-10}
# A is booted by multiboot, B as a plain ELF64 file
a='guest=rt,period=10ms,work=2ms guest=batch'
b='guest=batch guest=idle guest=procs'

rm -rf "$out"
./nestor record --clock virtual --workers 1 --for "${seconds}s" -o "$out" \
	"$images/child.elf" --name A --append "$a" \
	"$images/child64.elf" --name B --append "$b" || exit

echo
./nestor report "$out" || exit
cat <<EOF

The same run in the viewer:      ./nestor view $out
Live, while it runs:             ./nestor run --clock virtual --idle real --view \\
                                   $images/child.elf --name A --append '$a' \\
                                   $images/child64.elf --name B --append '$b'
Every event as text:             babeltrace2 $out
EOF
