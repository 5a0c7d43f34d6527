#!/usr/bin/env bash
# Hosts that forbid memory for code in part or altogether: the translator works where memory need not be writable
# and executable at one address, also without memfd_create(); where nothing may be executed it is said in
# one line, guests are interpreted, and --engine jit is refused.
# One thread: not in MODE=tsan.
set -u
here=$(dirname "$0")
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
image=$NESTOR_BUILD/l1-child/child64.elf
bad=0

fail() {
	echo "$*"
	cat "$work/err"
	bad=1
}

# on HOST OPTIONS…: the demonstration's guest, as on that host
on() {
	local what=$1
	shift
	timeout 60 python3 "$here/hardened.py" "$what" "$NESTOR" run --clock virtual --for 30ms --stats "$@" "$image" \
		--append 'guest=batch run=20ms' >"$work/out" 2>"$work/err" </dev/null
	status=$?
	[ $status != 77 ] || { echo '# skip: no seccomp filters here'; exit 77; }
}

translated() { awk '$2 == "engine.blocks_translated" { print $3 }' "$work/err"; }
ran() { grep -q 'guest batch0 .* work [1-9]' "$work/out"; }

for what in wx memfd; do
	on $what
	ran || fail "$what: the guest did not run"
	[ "${NESTOR_MODE:-rel}" = tsan ] || [ "$(translated)" -gt 0 ] || fail "$what: nothing was translated"
done
for engine in '' interp; do
	on code ${engine:+--engine $engine}
	ran || fail "code: the guest did not run, ${engine:-default}"
	[ "$(translated)" = 0 ] || fail "code: translated"
	[ -n "$engine" ] || [ "${NESTOR_MODE:-rel}" = tsan ] ||
		grep -q 'no translator: .*Operation not permitted.* interpreted' "$work/err" || fail 'code: no reason was given'
done
on code --engine jit
[ $status = 6 ] && [ "$(wc -l <"$work/err")" = 1 ] || fail "code: --engine jit ended with $status"
grep -q 'nestor doctor' "$work/err" || fail 'code: --engine jit does not lead to doctor'
grep -q 'no translator, which --engine asks for' "$work/err" || fail 'code: --engine jit does not say why not'
on code --for 50ms "$NESTOR_BUILD/tests/guests/vkeep64.elf"
grep -q 'SSE and AVX instructions are undefined' "$work/err" || fail 'code: nothing is said about vector instructions'
for what in memfd code; do
	python3 "$here/hardened.py" $what "$NESTOR" doctor >"$work/$what"
done
grep -q '^ok   translator' "$work/memfd" || fail 'memfd: doctor sees no translator'
grep -q '^note translator .*noexec' "$work/code" || fail 'code: doctor does not say what to do'

# a folder that is noexec is passed over for the next
if unshare -rm true 2>/dev/null; then
	timeout 60 unshare -rm sh -c 'mount -t tmpfs -o noexec none /dev/shm && exec "$@"' sh python3 "$here/hardened.py" memfd "$NESTOR" run \
		--clock virtual --for 30ms --stats "$image" --append 'guest=batch run=20ms' >"$work/out" 2>"$work/err" </dev/null
	ran || fail 'noexec: the guest did not run'
	[ "${NESTOR_MODE:-rel}" = tsan ] || [ "$(translated)" -gt 0 ] || fail 'noexec: nothing was translated'
fi
exit $bad
