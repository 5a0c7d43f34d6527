#!/usr/bin/env bash
# --count: state-match counters add up exactly, inverted ones too, the same in both tiers and in the trace.
# One thread: not in MODE=tsan.
. "$(dirname "$0")/../trace/lib.sh"
child=$NESTOR_BUILD/l1-child/child.elf

count() { # ENGINE: every counter on standard error of a run of 100,000,000 instructions
	timeout 60 "$NESTOR" "$2" -o "$work/$1" --engine "$1" --clock virtual --for 100ms --track threads=4K \
		--count insns@A --count insns@A/own --count insns@A/child=0 --count 'insns!=A/child=0' --count 'insns@A/child=1' \
		--count insns@B --count 'insns!=*/level=1' --count 'insns@*/level=1' \
		--count cycles@A/child=0 --count branches@A/child=0 --count branch-misses@A/child=0 --count far-transfers@A \
		--count 'insns@A/child=1/thread=0x106000' --count 'insns@A/child=1/cr3=0x200000' --count interrupts@A \
		--kernel "$child" --name A --append 'guest=batch guest=procs' --kernel "$child" --name B --append 'guest=idle guest=batch' \
		>"$work/out" 2>"$work/err" </dev/null || fail "$1: $(tail -n 3 "$work/err")"
	grep '^count ' "$work/err" >"$work/$1.txt"
}
value() { awk -v n="$1" '$2 == n {print $3}' "$work/interp.txt"; }
sum() { # WANTED NAME…
	local want=$1 have=0 n
	shift
	for n; do have=$((have + $(value "$n"))); done
	[ "$have" = "$want" ] || fail "$* make $have, not $want"
}

count interp record
count jit run
cmp -s "$work/interp.txt" "$work/jit.txt" || fail "the tiers differ: $(diff "$work/interp.txt" "$work/jit.txt")"
all=100000000
sum $all 'insns@A/child=0' 'insns!=A/child=0'
sum $all 'insns@*/level=1' 'insns!=*/level=1'
sum "$(value insns@A)" 'insns@A/own' 'insns@A/child=0' 'insns@A/child=1'
[ $(($(value insns@A) + $(value insns@B))) -le $all ] || fail 'more than there was'
[ "$(value cycles@A/child=0)" = "$(value insns@A/child=0)" ] || fail 'a nanosecond is an instruction and a tick here'
for n in branches@A/child=0 branch-misses@A/child=0 far-transfers@A insns@A/child=1/thread=0x106000 insns@A/child=1/cr3=0x200000 interrupts@A; do
	[ "$(value $n)" -gt 0 ] || fail "$n: $(value $n)"
done
"$NESTOR" report "$work/interp" >"$work/report" || fail report
for n in insns@A/child=0 'insns!=*/level=1' insns@A/child=1/thread=0x106000; do
	[ "$(awk -v n="$n" '$1 == n {gsub(",", "", $2); print $2}' "$work/report")" = "$(value "$n")" ] || fail "the report has another $n: $(grep -A20 State-match "$work/report")"
done
for bad in insns insns@ insns@C foo@A insns@A/child insns@A/level=0 insns@A/process=1 insns@A/thread=1; do
	"$NESTOR" run --count "$bad" --kernel "$child" --name A >"$work/out" 2>&1
	[ $? = 2 ] && grep -q -e '^nestor run: --count' "$work/out" || fail "--count $bad: $(cat "$work/out")"
done
# while the tiers are held against each other everything runs twice, and is counted once
for engine in jit check; do
	timeout 60 "$NESTOR" run --engine $engine --clock virtual --for 10ms --count branches@A --count branch-misses@A --count far-transfers@A \
		--kernel "$child" --name A --append guest=procs 2>&1 >/dev/null </dev/null | grep '^count ' >"$work/$engine.few"
done
[ -s "$work/jit.few" ] && cmp -s "$work/jit.few" "$work/check.few" || fail "--engine check: $(diff "$work/jit.few" "$work/check.few")"
