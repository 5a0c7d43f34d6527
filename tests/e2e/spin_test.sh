#!/usr/bin/env bash
# A processor that waits for another in a loop of PAUSEs gives its worker away: two of them on one
# worker take turns at once, under either clock, policy and engine; the trace tells who waited. The
# guest's limit is one of host time under the host's clock: other builds than the release one have to
# come to an end there, without a data race.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }
image=$NESTOR_BUILD/tests/guests/spin_smp.elf
for options in '--clock virtual' '--clock host --workers 1' '--clock host --workers 2' '--clock virtual --sched credit' \
	'--clock virtual --sched qos' '--clock virtual --engine jit'; do
	[ -n "${NESTOR_SHORT:-}" ] && [[ $options == *virtual\ * ]] && continue # of one thread, one is enough
	# shellcheck disable=SC2086
	timeout 60 "$NESTOR" run $options --cpus 2 "$image" >"$work/out" 2>&1 </dev/null
	status=$?
	case $NESTOR_MODE,$options in
	rel,*) ;;
	*host*) [ $status = 3 ] && ! grep '^FAIL' "$work/out" | grep -vq LIMIT_TICKS && continue ;;
	esac
	[ $status = 1 ] && grep -q '^passed$' "$work/out" || fail "$options: $(tail -n 5 "$work/out")"
done
"$NESTOR" record --clock virtual --cpus 2 -o "$work/t" "$image" >"$work/out" 2>&1 </dev/null
"$NESTOR" report --json "$work/t" >"$work/json" || fail "report"
spins=$(grep -o '"spin":[0-9]*' "$work/json" | cut -d : -f 2)
[ "${spins:-0}" -ge 1000 ] || fail "the trace has ${spins:-no} waits"
