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
grep -q 'no translator, which --engine asks for' "$work/err" || fail 'code: --engine jit does not say why not'
exit $bad
