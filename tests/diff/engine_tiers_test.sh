#!/usr/bin/env bash
# The engine's unit tests again with the translator attached and every block translated at its first entry.
# One thread: not in MODE=tsan.
set -u
out=$(mktemp) || exit 1
trap 'rm -f "$out"' EXIT
bad=0
for t in "$NESTOR_BUILD"/tests/unit/engine_*_test "$NESTOR_BUILD"/tests/unit/vec_test; do
	NESTOR_ENGINE=jit NESTOR_JIT_HEAT=1 timeout $((120 * ${NESTOR_PATIENCE:-1})) "$t" >"$out" 2>&1 || {
		echo "${t##*/} with the translator:"
		grep -v '^ok' "$out"
		bad=1
	}
done
exit $bad
