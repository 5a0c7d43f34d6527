#!/usr/bin/env bash
# Every test guest passes under ./nestor, in the same way with both clocks.
set -u
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
status=0
clocks='virtual host'
[ -z "${NESTOR_SHORT:-}" ] || clocks=host
for image in "$NESTOR_BUILD"/tests/guests/*.elf; do
	name=$(basename "$image" .elf)
	case $name in *_smp | reset64 | vkeep64) continue ;; esac # e2e/spin_test.sh, reset_test.sh, vector_test.sh, nested/misuse_test.sh
	for clock in $clocks; do
		out=$(timeout 60 "$NESTOR" run --clock "$clock" "$image" 2>&1 </dev/null)
		rc=$?
		if [ $rc -ne 1 ] || ! grep -q '^passed$' <<<"$out" || grep -q FAIL <<<"$out"; then
			echo "$name ($clock clock): status $rc"
			echo "$out"
			status=1
		fi
	done
done
exit $status
