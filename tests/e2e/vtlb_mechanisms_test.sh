#!/usr/bin/env bash
# C1 to C11, each with counters, events, tests and models as docs/vtlb.md says: what it names exists, each
# counter that the table of counters gives to a mechanism is named there, and a recorded run has the events
# and every counter, in the report too.
# One thread: not in MODE=tsan.
set -u
cd "$(dirname "$0")/../.." || exit 1
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0
fail() { echo "$*"; bad=1; }

rows() { sed -n '/^### What is to be seen/,/^### Modes/p' docs/vtlb.md | grep -E '^\| C[0-9]+ \|'; }
# column N OF_C: the names in it
column() { rows | awk -F'|' -v c=" $2 " -v n="$1" '$2 == c { print $(n + 1) }' | grep -o '`[a-z0-9_]*`' | tr -d '`'; }

for c in C1 C2 C3 C4 C5 C6 C7 C8 C9 C10 C11; do
	for n in $(column 2 $c); do
		grep -qE "^(VP|T|LEVEL)\($n,.*[ (]$c[,)]" l0/arch/vtlb_counters.def || fail "$c: no counter $n that says so"
	done
	for n in $(grep -E "[( ]$c[,)]" l0/arch/vtlb_counters.def | sed 's/^[A-Z]*(\([a-z0-9_]*\),.*/\1/'); do
		column 2 $c | grep -qx "$n" || echo "note: $c has a counter that the table does not name: $n"
	done
	[ -n "$(column 2 $c)" ] && [ -n "$(column 3 $c)" ] || fail "$c: neither counter nor event"
	for n in $(column 3 $c); do
		grep -q "^EVENT($n," l0/arch/events.def || fail "$c: no event $n"
	done
	for n in $(column 4 $c); do
		ls tests/unit/$n.c tests/e2e/$n.sh 2>/dev/null | grep -q . || fail "$c: no test $n"
	done
	for n in $(column 5 $c); do
		[ -e tests/model/$n.pml ] || fail "$c: no model $n"
	done
done

cd "$work" || exit 1
timeout 100 "$NESTOR" record -o trace --clock virtual --vtlb-nodes 2 --vtlb-memory 128K "$NESTOR_BUILD/l1-child/child64.elf" \
	--append 'guest=procs guest=batch run=30ms' >out 2>&1 </dev/null
[ $? = 1 ] || fail 'nestor record failed'
babeltrace2 trace >events 2>out || fail 'the trace cannot be read'
"$NESTOR" report trace >report 2>&1 || fail 'no report'
"$NESTOR" report --json trace >json 2>&1 || fail 'no JSON'
cd "$OLDPWD" || exit 1
for n in $(sed -nE 's/^(T|LEVEL)\(([a-z0-9_]*),.*/\2/p' l0/arch/vtlb_counters.def); do
	grep -q "nestor:tlb_machine:.*name = \"$n\"" "$work/events" || fail "no event with counter $n"
	grep -q "^ *$n  *[0-9,]* " "$work/report" || fail "the report lacks $n"
	grep -q "\"$n\":" "$work/json" || fail "the JSON lacks $n"
done
# tlb_share needs address spaces that share their kernel half: vtlb_share_test. vtlb_test has the others.
for n in tlb_fill tlb_flush tlb_protect spt_evict spt_alloc; do
	grep -q "nestor:$n:" "$work/events" || fail "no event $n"
done
exit $bad
