#!/usr/bin/env bash
# The VMX tests (vmx.elf) under nestor: every case must pass, in both clocks.
set -u
image=$NESTOR_BUILD/tests/nested/vmx.elf
[ -e "$image" ] || { echo "$image was not built"; exit 1; }

status=0
for clock in virtual host; do
	out=$("$NESTOR" run --clock $clock --timeout 60s "$image" 2>&1 </dev/null)
	code=$?
	if [ $code != 1 ]; then # the guest's 0 at the debug-exit port
		echo "--clock $clock: status $code"
		grep -v '^ok ' <<<"$out"
		status=1
	fi
done
exit $status
