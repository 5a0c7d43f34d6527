#!/usr/bin/env bash
# A guest's reset (a triple fault too, with --triple-fault reset) ends its machine, or with --reset reboot starts it again as after power-up, whatever
# its processors are doing on which workers, under either clock and engine.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }
image=$NESTOR_BUILD/tests/guests/reset64.elf
for options in '--clock virtual' '--clock virtual --cpus 3' '--clock virtual --cpus 3 --workers 2' \
	'--clock host' '--clock host --cpus 3 --workers 1' '--clock host --cpus 4 --workers 2' \
	'--clock virtual --engine jit --cpus 2'; do
	[ -n "${NESTOR_SHORT:-}" ] && [[ $options == *virtual\ * ]] && continue # of one thread, one is enough
	# shellcheck disable=SC2086
	timeout 60 "$NESTOR" run --reset reboot --triple-fault reset $options "$image" >"$work/out" 2>&1 </dev/null
	status=$?
	[ $status = 1 ] && grep -q '^passed$' "$work/out" && [ "$(grep -c '^boot' "$work/out")" = 6 ] ||
		fail "$options: status $status: $(tail -n 5 "$work/out")"
done
timeout 60 "$NESTOR" run --clock virtual "$image" >"$work/out" 2>&1 </dev/null
[ "$(grep -c '^boot' "$work/out")" = 1 ] || fail "a reset does not end the machine: $(cat "$work/out")"
"$NESTOR" record --clock virtual --reset reboot --triple-fault reset -o "$work/t" "$image" >"$work/out" 2>&1 </dev/null
babeltrace2 "$work/t" 2>/dev/null | grep -c nestor:vm_reset >"$work/n"
[ "$(cat "$work/n")" = 5 ] || fail "$(cat "$work/n") vm_reset events in the trace"
timeout 60 "$NESTOR" run --clock virtual --reset reboot "$image" >"$work/out" 2>&1 </dev/null
[ $? = 8 ] && grep -q 'triple fault' "$work/out" || fail "a triple fault does not stop: $(tail -n 3 "$work/out")"
