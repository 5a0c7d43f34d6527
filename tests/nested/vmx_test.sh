#!/usr/bin/env bash
# The VMX tests (vmx.elf) under nestor: every case must pass, whatever the variant of nestor.
set -u
image=$NESTOR_BUILD/tests/nested/vmx.elf
[ -e "$image" ] || { echo "$image was not built"; exit 1; }

status=0
check() {
	local out code
	out=$("$NESTOR" run --timeout $((60 * ${NESTOR_PATIENCE:-1}))s "$@" "$image" 2>&1 </dev/null)
	code=$?
	if [ $code != 1 ]; then # the guest's 0 at the debug-exit port
		echo "$*: status $code"
		grep -v '^ok ' <<<"$out"
		status=1
	fi
}
check --clock virtual
check --clock host
check --clock virtual --engine interp
# everything translated at its first entry, so that every control meets translated code; then compared
check --clock virtual --jit-heat 1
check --clock host --jit-heat 1
[ "${NESTOR_MODE:-rel}" = tsan ] || check --clock virtual --engine check
check --clock virtual --no-vmcs-shadowing
for tlb in audit adversarial strict; do
	check --clock virtual --tlb $tlb
done
for model in nestor-westmere nestor-merom; do
	check --clock virtual --cpu-model $model
done
exit $status
