#!/usr/bin/env bash
# --detect-stale names the one invalidation that a guest forgot, with the instruction that used the old
# translation, and says nothing of those done in time, nor of child VMMs that are correct. --stats.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
bad=0

fail() {
	echo "$*"
	cat out
	bad=1
}

# Guests end with the status 1 when all is well.
run() {
	timeout 100 "$NESTOR" run --clock virtual "$@" >out 2>&1 </dev/null
	status=$?
	[ $status = 1 ]
}

run --detect-stale --stats "$NESTOR_BUILD/tests/guests/stale64.elf"
[ $status = 1 ] || fail "the guest did not pass under --detect-stale"
rip=$(sed -n 's/^rip //p' out)
[ "$(grep -c 'stale translation used' out)" = 1 ] || fail "not one report"
grep -q "stale translation used: processor 0, read of page 0x20003000, rip 0x$rip at" out || fail "the report names something else"
grep -q 'missing: INVLPG' out || fail "the missing instruction is not named"
grep -qE 'vtlb\.stale_reports +1 ' out || fail "--stats does not count the report"
grep -qE 'engine\.exits +[0-9]+ ' out || fail "--stats lacks the engine"

run --detect-stale --stats --for 60ms "$NESTOR_BUILD/l1-child/child64.elf" --cpus 2 \
	--append 'guest=procs guest=batch run=50ms' || fail "a child ended with $status"
grep -q 'stale translation used' out && fail "a correct child is accused"
for mode in normal adversarial strict; do
	run --tlb $mode --for 60ms "$NESTOR_BUILD/l1-child/child64.elf" --append 'guest=procs run=50ms' ||
		fail "--tlb $mode ended with $status"
done
run --vtlb-memory 256K --stats --for 60ms "$NESTOR_BUILD/l1-child/child64.elf" --append 'guest=procs run=50ms' ||
	fail "--vtlb-memory 256K ended with $status"
grep -qE 'vtlb\.spts_limit +[1-9][0-9]? ' out || fail "the limit is not kept"
run --vtlb-memory 1K "$NESTOR_BUILD/l1-child/child64.elf"
[ $status = 1 ] && fail "--vtlb-memory 1K was accepted"
grep -q 'from 256K to 4G' out || fail 'no clear message'
exit $bad
