#!/usr/bin/env bash
# The demonstration in short, a guest of eight processors, and the VMX tests (every control, in every mode) under both engines and their
# comparison while they run, also with everything translated at its first entry: every architectural event is the same, at the same virtual
# time; each part of the translator can be left out, by its name in the help; and wrong options are refused.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
images=$NESTOR_BUILD/l1-child
bad=0

fail() {
	echo "$*"
	bad=1
}

# events of the sort that is not architectural
engine=$(sed -n 's/^EVENT(\([a-z_]*\), ENGINE,.*/\1/p' "$(dirname "$0")/../../l0/arch/events.def" | paste -sd '|')
[ -n "$engine" ] || fail "no engine events in events.def"

demo=("$images/child.elf" --name A --append 'guest=rt,period=10ms,work=2ms guest=batch run=250ms'
	"$images/child64.elf" --name B --append 'guest=batch guest=idle guest=procs run=250ms')
# eight processors that meet in locked instructions; more workers take turns under the virtual clock
smp=(--cpus 8 --workers 2 --memory 16M "$NESTOR_BUILD/tests/guests/many_smp.elf")
vmx=("$NESTOR_BUILD/tests/nested/vmx.elf")
what=demo

# record NAME OPTIONS…: "$what", its architectural events in NAME.arch
record() {
	local -n images_of=$what
	timeout 100 "$NESTOR" record "${@:2}" --clock virtual --workers 1 --for 300ms -o "$work/$1" "${images_of[@]}" \
		>"$work/$1.out" 2>&1
	[ $? = $([ $what = demo ] && echo 0 || echo 1) ] || { fail "record $1 ended with $?:"; cat "$work/$1.out"; }
	babeltrace2 "$work/$1" 2>"$work/$1.err" |
		sed 's/^[^{]*nestor:/nestor:/; s/{ cpu_id = [0-9]* }, //; s/, host_[a-z_]* = [0-9]*//g' |
		grep -v -E "^nestor:($engine):" \
			>"$work/$1.arch"
	rm -r "$work/$1"
}

[ "${NESTOR_MODE:-rel}" != tsan ] || {
	echo "# skip: this build has no translator"
	exit 77
}
record interp --engine interp
record check --engine check --jit-memory 256K
cmp "$work/interp.arch" "$work/check.arch" || fail "--engine check gives other events"
for off in '' alu,shift mem,chain; do
	record "jit$off" --engine jit ${off:+--jit-off "$off"}
	cmp "$work/interp.arch" "$work/jit$off.arch" || {
		fail "the engines differ (off: $off):"
		diff "$work/interp.arch" "$work/jit$off.arch" | head -6
	}
done
what=smp
record smp-interp --engine interp
for e in jit check; do
	record smp-$e --engine $e
	cmp "$work/smp-interp.arch" "$work/smp-$e.arch" || fail "eight processors: --engine $e gives other events"
done
what=vmx
record vmx-interp --engine interp
for how in '--engine jit --jit-heat 1' '--engine jit --jit-heat 3' '--engine check' '--engine check --jit-heat 1'; do
	record vmx $how
	cmp "$work/vmx-interp.arch" "$work/vmx.arch" || fail "VMX tests: $how gives other events"
done
# the parts of the translator left out one by one
names=$(sed -n 's/^GROUP([A-Z]*, "\([a-z]*\)".*/\1/p' "$(dirname "$0")/../../l0/jit/jit_groups.def")
help=$("$NESTOR" run --help)
for off in $names; do
	timeout 100 "$NESTOR" run --clock virtual --jit-heat 1 --jit-off "$off" "${vmx[@]}" >"$work/out" 2>&1 </dev/null
	[ $? = 1 ] || { fail "VMX tests with --jit-off $off:"; grep -v '^ok' "$work/out"; }
	grep -A 12 -e '--jit-off' <<<"$help" | grep -q "[ ,]$off[,.]" || fail "the help does not name $off"
done
[ "$(wc -l <"$work/vmx-interp.arch")" -gt 10000 ] || fail "hardly any events of the VMX tests"
[ "$(wc -l <"$work/smp-interp.arch")" -gt 100 ] || fail "hardly any events of eight processors"
[ "$(wc -l <"$work/interp.arch")" -gt 1000 ] || fail "hardly any events"
"$NESTOR" run --engine jit --jit-off nothing "$images/child.elf" >"$work/out" 2>&1 && fail "a wrong group was accepted"
grep -q "nothing" "$work/out" || fail "the message does not name the group"
"$NESTOR" run --engine check --clock host "$images/child.elf" >"$work/out" 2>&1 && fail "--engine check took the host's clock"
grep -q "virtual clock" "$work/out" || fail "the message does not name the clock"
"$NESTOR" run --jit-memory 1K "$images/child.elf" >"$work/out" 2>&1 && fail "--jit-memory 1K was taken"
exit $bad
