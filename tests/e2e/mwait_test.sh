#!/usr/bin/env bash
# MWAIT waits for a store by another processor or an interrupt, on one worker and two, both clocks.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
while read -r options; do
	[ -n "${NESTOR_SHORT:-}" ] && [[ $options == *virtual\ * ]] && continue # of one thread, one is enough
	# shellcheck disable=SC2086
	timeout 60 "$NESTOR" run --cpus 2 --memory 16M $options "$NESTOR_BUILD/tests/guests/mwait_smp.elf" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status = 1 ] && grep -q '^passed$' "$work/out" || { echo "$options: status $status: $(tail -n 5 "$work/out")"; exit 1; }
	[[ $options == *virtual* ]] || continue
	# few waits for each of the 500 turns: it does not poll
	waits=$(($(sed -n 's/^waits //p' "$work/out")))
	[ $waits -lt 5000 ] || { echo "$options: $waits waits"; exit 1; }
done <<'O'
--clock virtual
--clock virtual --engine jit
--clock virtual --workers 2
--clock host --workers 1
--clock host --workers 2
--clock host --workers 2 --engine jit
O
