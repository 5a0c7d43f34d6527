#!/usr/bin/env bash
# VM entries with nonsense (vmxfuzz.elf): L1 gets every one back, and the variants of nestor that a
# guest cannot tell apart, both engines among them, do the same. Nearly good ones (edge=1) end as the
# program itself reads the SDM. There are PCI devices whose BARs bad EPT tables and fields point to.
set -u
image=$NESTOR_BUILD/tests/nested/vmxfuzz.elf
[ -e "$image" ] || { echo "$image was not built"; exit 1; }

rounds=1500 rights=151 seeds='1 2'
[ -z "${NESTOR_SHORT:-}" ] || { rounds=100 rights=4801 seeds=1; }
[ -z "${NESTOR_LONG:-}" ] || { rounds=50000 rights=4 seeds="1 2 3 $RANDOM $RANDOM"; }
echo "seeds $seeds, $rounds rounds each"
status=0
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
truncate -s 1M "$work/disk"
devices="--disk $work/disk,ro --rng"
for seed in $seeds; do
	for what in ept=0 ept=1 "edge=1 rights=$rights"; do
		first=
		for how in '--engine jit' '--engine interp' '--tlb audit' --no-vmcs-shadowing; do
			out=$("$NESTOR" run --clock virtual --timeout $((600 * ${NESTOR_PATIENCE:-1}))s $how "$image" $devices \
				--append "$what seed=$seed n=$rounds" 2>/dev/null </dev/null)
			code=$?
			[ -n "$first" ] || first=$out
			if [ $code != 1 ] || [ "$out" != "$first" ]; then
				echo "seed $seed, $what, variant '$how': status $code"
				diff <(echo "$first") <(echo "$out")
				status=1
			fi
		done
	done
done
# The other processor models that have EPT.
for seed in $seeds; do
	out=$("$NESTOR" run --clock virtual --timeout $((600 * ${NESTOR_PATIENCE:-1}))s --cpu-model nestor-westmere "$image" $devices \
		--append "edge=1 seed=$seed n=$rounds" 2>/dev/null </dev/null)
	code=$?
	[ $code = 1 ] || { echo "nestor-westmere, seed $seed: status $code"; echo "$out"; status=1; }
done
# Everything spoilt: L1 may be lost, nestor may not.
wild=8
[ -z "${NESTOR_SHORT:-}" ] || wild=3
[ -z "${NESTOR_LONG:-}" ] || wild=200
for seed in $(seq 1 $wild); do
	engine=jit
	[ $((seed % 3)) != 0 ] || engine=interp
	out=$("$NESTOR" run --engine $engine --clock virtual --for 5ms --timeout $((60 * ${NESTOR_PATIENCE:-1}))s "$image" $devices \
		--append "wild=1 ept=$((seed % 2)) seed=$seed n=1000" 2>&1 </dev/null)
	code=$?
	if [ $code -ge 100 ] || grep -Eq 'ASSERT|runtime error|Sanitizer' <<<"$out"; then
		echo "wild seed $seed, $engine: status $code"
		tail -20 <<<"$out"
		status=1
	fi
done
exit $status
