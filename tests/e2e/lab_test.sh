#!/usr/bin/env bash
# The labs of docs/labs in short: missed deadlines by the guests' own counts, shares, gaps, under the policies.
# With an argument (lab_check.py) those only; without, labs 1 to 4. At full length: tests/long/labs.sh.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
for lab in "$NESTOR_SRC"/docs/labs/*.ini; do
	sed "s#\.\./\.\./build/rel#$NESTOR_BUILD#" "$lab" >"$work/${lab##*/}"
done
timeout 115 python3 -B "$NESTOR_SRC/tests/e2e/lab_check.py" "$NESTOR" "$work" "${1:-lab(1(-[a-z-]*)?|[234][^=]*)}"
