#!/usr/bin/env bash
# A guest's vector registers, live in the host's, survive what a worker does once a second, and another worker on the
# same thread, as under the virtual clock.
set -u
engines='interp jit'
[ -z "${NESTOR_SHORT:-}" ] || engines=interp
for clock in '--clock virtual --insn-time 20ns' '--clock virtual --insn-time 20ns --workers 2' "--clock host --timeout $((60 * ${NESTOR_PATIENCE:-1}))s"; do
	for engine in $engines; do
		# shellcheck disable=SC2086
		out=$(timeout 60 "$NESTOR" run $clock --engine $engine "$NESTOR_BUILD/tests/guests/vkeep64.elf" 2>&1 </dev/null)
		[ $? = 1 ] && grep -q '^passed$' <<<"$out" || { echo "$clock, $engine: $out"; exit 1; }
	done
done
[ -z "${NESTOR_SHORT:-}" ] || exit 0 # one thread from here on
for options in '--workers 2' '--workers 2 --slice 1ms' '--workers 1 --slice 1ms'; do
	# shellcheck disable=SC2086
	out=$(timeout 60 "$NESTOR" run --clock virtual --insn-time 20ns $options --serial none "$NESTOR_BUILD/tests/guests/vkeep64.elf" \
		"$NESTOR_BUILD/tests/guests/vkeep64.elf" --cpus 2 2>&1 </dev/null)
	[ $? = 0 ] && [ "$(grep -c '^passed$' <<<"$out")" = 2 ] || { echo "two machines, $options: $out"; exit 1; }
done
