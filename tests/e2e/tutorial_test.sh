#!/usr/bin/env bash
# The tutorial's steps find its planted fault.
# One thread: not in MODE=tsan.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
fail() { echo "$*"; exit 1; }
l1=$NESTOR_BUILD/l1-child
cd "$work" || exit 1
for run in good slow; do
	faults=
	[ $run = slow ] && faults=' rearm=20'
	"$NESTOR" record --clock virtual --for 200ms -o $run "$l1/child.elf" --name A \
		--append "guest=rt guest=batch$faults" --symbols "$l1/child.elf" >log 2>&1 || fail "record: $(cat log)"
done
"$NESTOR" diff good slow >diff || fail diff
grep -Eq '^  level 1 WRMSR +[0-9] +[0-9]{4,}' diff || fail "the difference is not told: $(cat diff)"
"$NESTOR" report slow >report || fail report
[ "$(grep -c '  L1 WRMSR .* 20\.00 ' report)" -ge 3 ] || fail "the tree does not tell: $(grep -A30 'one exit' report)"
"$NESTOR" report --details slow | grep -A1 'level 1  WRMSR' >place || fail details
address=$(awk 'NR == 2 { print $1 }' place)
addr2line -fi -e "$l1/child.elf" "$address" | grep -q '^rearm_deadline$' || fail "not the place: $(cat place)"
# the recording knows the name by itself, and so do files given to the report
grep -Eq 'exit_handle\+0x[0-9a-f]+$' place || fail "no name: $(cat place)"
rm slow/symbols
"$NESTOR" report --details --symbols "A=$l1/child.elf" slow | grep -Eq 'exit_handle\+0x' || fail "no name by --symbols"
"$NESTOR" report --details --symbols "B=$l1/child.elf" slow | grep -q 'exit_handle' && fail "a name for another machine"
"$NESTOR" report --details --symbols /no/such/file slow 2>&1 | grep -q 'No such file' || fail "a missing file"
exit 0
