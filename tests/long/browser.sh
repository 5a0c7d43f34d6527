#!/usr/bin/env bash
# tests/long/browser.sh [NESTOR] - the page of report --html in a real browser (chromium or chrome): it
# draws its lanes without an error, and the tables hold the report's numbers. SKIP without a browser.
set -eu
cd "$(dirname "$0")/../.."
nestor=$(realpath "${1:-./nestor}")
work=$(mktemp -d "${TMPDIR:-/tmp}/nestor-browser.XXXXXX")
trap 'rm -rf "$work"' EXIT
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)
[ -n "$browser" ] || { echo "SKIP browser: no chromium or chrome is installed"; exit 0; }
fail() { echo "FAIL browser: $*"; exit 1; }

"$nestor" record --clock virtual --for 300ms -o "$work/t" build/rel/l1-child/child.elf --name A \
	--append 'guest=rt guest=batch' >"$work/log" 2>&1 || fail "record: $(cat "$work/log")"
"$nestor" report --html -o "$work/page.html" "$work/t"
"$nestor" report "$work/t" >"$work/report"
timeout 120 "$browser" --headless --no-sandbox --disable-gpu --virtual-time-budget=3000 --enable-logging=stderr \
	--user-data-dir="$work/profile" --dump-dom "file://$work/page.html" >"$work/dom" 2>"$work/console" ||
	fail "the browser: $(tail -n 3 "$work/console")"
grep -q 'CONSOLE.*\(Error\|error\)' "$work/console" && fail "$(grep CONSOLE "$work/console" | head -n 3)"
grep -q 'data-drawn="3"' "$work/dom" || fail "three lanes are not drawn"
for reason in VMRESUME CPUID PREEMPTION_TIMER; do
	count=$(awk -v r=$reason '$1 == 2 && $2 == r || $1 == 1 && r == "VMRESUME" && $2 == r { print $3; exit }' "$work/report")
	grep -q ">$reason</td><td>$count</td>" "$work/dom" || fail "the page has not $count $reason"
done
echo "ok browser"
