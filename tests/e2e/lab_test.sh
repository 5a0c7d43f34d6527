#!/usr/bin/env bash
# The labs of docs/labs: missed deadlines by the guests' own counts, shares, gaps, under the policies.
# With an argument (lab_check.py) those only; without, labs 1 to 4.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
longer=
[ "${NESTOR_LONG:-}" != 1 ] || longer='s/change=6s:0ms/change=60s:0ms/'
for lab in "$NESTOR_SRC"/docs/labs/*.ini; do
	sed "$longer;s#\.\./\.\./build/rel#$NESTOR_BUILD#" "$lab" >"$work/${lab##*/}"
done
timeout "$([ "${NESTOR_LONG:-}" = 1 ] && echo 1150 || echo 115)" \
	python3 "$NESTOR_SRC/tests/e2e/lab_check.py" "$NESTOR" "$work" "${1:-lab(1(-[a-z-]*)?|[234][^=]*)}"
