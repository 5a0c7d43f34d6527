#!/bin/bash
# The table: tree, numbers, intervals, processes, and the same from a live stream's summaries.
. "${0%/*}/lib.sh"
start 100 30 "$film"
wait_for 'read to its end'
keys Tab
wait_for 'since the begin: 0.000 s to 2.000 s on 1 worker'
expect_line ' A alpha' '1 ready 50.0 0 0.0 50.0 0 0'
expect_line ' a rt' '2 ready 10.0 50.0 100.0 50.0 0 10'
expect_line ' b batch' '2 ready 39.5 50.0 100.0 50.0 0 0'
expect_line ' B beta' '45.0 0 0.0 50.0 50.0 0'
expect_line ' c work' '2 ready 45.0 50.0 100.0'
expect_line 'cr3 10000' '2 25.0 50.0'
expect_line 'cr3 20000' '2 20.0 50.0'
# processes off and on
keys p
wait_gone 'cr3 10000'
keys p
wait_for 'cr3 10000'
# intervals
keys i
wait_for 'last second: 1.000 s to 2.000 s'
expect_line ' a rt' ' 10.0 50.0 100.0 50.0 0 5'
keys i
wait_for 'visible time: 0.000 s to 2.000 s'
keys q
expect_left 0
# live: shares and counts come from summaries
start 100 30 "$film -l -d 60000"
wait_for 'summaries'
keys Tab
wait_for 'last second'
wait_for 'clock [1-9]\.' 30
wait_for '[└`] a rt +2 [a-z]+ +(9|10)\.[0-9] +5[0-2]|[└`] a rt +2 [a-z]+ +(9|10)\.[0-9] +4[0-9]'
wait_for 'lost 0  late 0'
# held: the numbers stay while events go on
keys Space
wait_for 'HELD'
before=$(screen | grep -A12 'last second')
events=$(screen | sed -n 's/.* \([0-9]*\) events .*/\1/p')
limit=$((SECONDS + 20 * ${NESTOR_PATIENCE:-1}))
until [ "$(screen | sed -n 's/.* \([0-9]*\) events .*/\1/p')" -gt $((events + 100)) ]; do
	[ $SECONDS -lt $limit ] || fail "no events come while held"
	sleep 0.05
done
[ "$(screen | grep -A12 'last second' | cut -c 1-40,52-)" = "$(echo "$before" | cut -c 1-40,52-)" ] ||
	fail "the table moved while held; it was: $before"
keys Space
wait_gone 'HELD'
keys q
expect_left 0
exit 0
