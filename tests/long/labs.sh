#!/usr/bin/env bash
# tests/long/labs.sh - the labs of docs/labs at full length: 100 s of guest time at eight phases each, under qos and
# under qos+state, held to the figures of docs/scheduler.md. Prints a table of what was reached. Times are virtual, so
# the figures are the same on every host (but for the host's CPU time of lab 9). Some 40 minutes.
#
#   tests/long/labs.sh [WHICH]     WHICH: a regular expression of labs' names, 'lab1=qos[+]state'
#
# NESTOR: the program; its child images are beside it.
set -u
root=$(cd "$(dirname "$0")/../.." && pwd) || exit 2
nestor=${NESTOR:-$root/build/rel/nestor}
images=$(cd "$(dirname "$nestor")" && pwd) || exit 2
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
for lab in "$root"/docs/labs/*.ini; do
	# lab 4's load ends at 60 % of the run
	sed "s/change=6s:0ms/change=60s:0ms/; s#\.\./\.\./build/rel#$images#" "$lab" >"$work/${lab##*/}"
done
python3 -B "$root/tests/e2e/lab_check.py" "$nestor" "$work" "${1:-.*}" --full
