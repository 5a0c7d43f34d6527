#!/usr/bin/env bash
# Three levels in one small program (vmxdeep.elf): a guest that runs a guest, on both engines and every
# variant that it cannot see; an entry that fails at level 3.
set -u
image=$NESTOR_BUILD/tests/nested/vmxdeep.elf
status=0
run() { "$NESTOR" run --clock virtual --timeout $((100 * ${NESTOR_PATIENCE:-1}))s $how "$image" --append "$1" 2>/dev/null </dev/null | tr -d "\r"; }
n=2000
[ -z "${NESTOR_SHORT:-}" ] || n=200
for how in '--engine jit' '--engine interp' '--tlb audit' '--tlb adversarial' --no-vmcs-shadowing; do
	out=$(run n=$n)
	[ "$out" = "$n exits of the L3, the L2 saw $((n - 1)), the L3 counts $n" ] || { echo "$how: $out"; status=1; }
	out=$(run "n=$n bad=20")
	[ "$out" = "the L3's entry failed after 20 exits" ] || { echo "$how, a bad VMCS: $out"; status=1; }
done
exit $status
