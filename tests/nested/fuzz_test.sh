#!/usr/bin/env bash
# VM entries with nonsense (vmxfuzz.elf): L1 gets every one back, and the variants of nestor that a
# guest cannot tell apart, both engines among them, do the same.
set -u
image=$NESTOR_BUILD/tests/nested/vmxfuzz.elf
[ -e "$image" ] || { echo "$image was not built"; exit 1; }

rounds=1500 seeds='1 2'
[ -z "${NESTOR_LONG:-}" ] || { rounds=100000 seeds="1 2 3 $RANDOM $RANDOM"; }
echo "seeds $seeds, $rounds rounds each"
status=0
for seed in $seeds; do
	for ept in 0 1; do
		first=
		for how in '--engine jit' '--engine interp' '--tlb audit' --no-vmcs-shadowing; do
			out=$("$NESTOR" run --clock virtual --timeout 600s $how "$image" \
				--append "ept=$ept seed=$seed n=$rounds" 2>/dev/null </dev/null)
			code=$?
			[ -n "$first" ] || first=$out
			if [ $code != 1 ] || [ "$out" != "$first" ]; then
				echo "seed $seed, ept $ept, variant '$how': status $code"
				diff <(echo "$first") <(echo "$out")
				status=1
			fi
		done
	done
done
# Everything spoilt: L1 may be lost, nestor may not.
wild=8
[ -z "${NESTOR_LONG:-}" ] || wild=200
for seed in $(seq 1 $wild); do
	out=$("$NESTOR" run --clock virtual --for 5ms --timeout 60s "$image" \
		--append "wild=1 ept=$((seed % 2)) seed=$seed n=1000" 2>&1 </dev/null)
	code=$?
	if [ $code -ge 100 ] || grep -Eq 'ASSERT|runtime error|Sanitizer' <<<"$out"; then
		echo "wild seed $seed: status $code"
		tail -20 <<<"$out"
		status=1
	fi
done
exit $status
