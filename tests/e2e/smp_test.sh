#!/usr/bin/env bash
# 1 to 64 processors, started by INIT and SIPI, on one worker and on several, under both clocks and
# engines: their locked instructions are exact on words inside and over lines and pages and in a device.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
image=$NESTOR_BUILD/tests/guests/many_smp.elf
while read -r options; do
	[ -n "${NESTOR_SHORT:-}" ] && [[ $options == *'virtual --workers'* ]] && continue # one thread
	# shellcheck disable=SC2086
	timeout 100 "$NESTOR" run --memory 16M $options "$image" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status = 1 ] && grep -q '^passed$' "$work/out" || { echo "$options: status $status: $(tail -n 5 "$work/out")"; exit 1; }
done <<'O'
--cpus 1 --clock virtual
--cpus 2 --clock host --workers 2
--cpus 3 --clock host --workers 2 --engine jit
--cpus 8 --clock host --workers 4
--cpus 64 --clock virtual
--cpus 64 --clock virtual --workers 4
--cpus 64 --clock host --workers 1
--cpus 64 --clock host --workers 4
--cpus 64 --clock host --workers 4 --engine jit --sched credit
--cpus 17 --clock host --workers 2 --sched qos
O
