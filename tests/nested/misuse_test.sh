#!/usr/bin/env bash
# Use of VMX that only another processor punishes (misuse_smp.elf): one line each on standard error, in order
# with what the guest does; proper use says nothing; the same from a recording.
set -u
image=$NESTOR_BUILD/tests/guests/misuse_smp.elf
[ -e "$image" ] || { echo "$image was not built"; exit 1; }
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
status=0
fail() { echo "$*"; status=1; }

for how in '--clock virtual' '--clock virtual --workers 2' '--clock host --workers 2' '--clock virtual --no-vmcs-shadowing'; do
	"$NESTOR" run $how --cpus 2 --explain --timeout $((60 * ${NESTOR_PATIENCE:-1}))s "$image" >"$work/out" 2>"$work/err" </dev/null
	code=$?
	[ $code = 1 ] || { fail "$how: status $code"; cat "$work/out" "$work/err"; }
	# the guest's own words come on standard error, too
	sed 's/^nestor: exit: cpu \([01]\): .*\(is current on another\|without a VMCLEAR\|memory was written\).*/\1 \2/' \
		"$work/err" >"$work/said"
	diff - "$work/said" <<-'EOF' || fail "$how: not what it should say"
		proper
		1 is current on another
		active on two
		0 without a VMCLEAR
		no vmclear
		0 memory was written
		memory written
		passed
	EOF
done
# without the option nothing is said, and nothing kept
"$NESTOR" run --clock virtual --cpus 2 "$image" 2>&1 </dev/null | grep -q '^nestor:' && fail "a word without --explain"

if command -v lttng-sessiond >/dev/null; then
	"$NESTOR" record --clock virtual --cpus 2 -o "$work/t" "$image" >/dev/null 2>&1 </dev/null
	"$NESTOR" explain "$work/t" >"$work/out" || [ $? = 8 ] || fail "explain: status"
	[ "$(grep -c 'works here, fails on another processor: vmcs 0x[0-9a-f]*: ' "$work/out")" = 3 ] || fail "not three of them"
	for text in 'it is active on .*' 'first field: io_bitmap_a is 0x4040404040404040 in memory, was 0x0'; do
		grep -q "^  $text\$" "$work/out" || fail "it does not say: $text"
	done
	[ $status = 0 ] || cat "$work/out"
fi
exit $status
