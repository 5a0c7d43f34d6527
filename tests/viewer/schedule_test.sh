#!/bin/bash
# Lanes, axis, legend, facts and the small table of the schedule, on a run whose numbers are known.
. "${0%/*}/lib.sh"
start 100 30 "$film"
wait_for 'read to its end'
expect_line '^ *[A-Z] +alpha +[A-Z]' 'A alpha B beta'
expect_line '^time' '0 s'
screen | grep -q '^worker 0' || fail "no lane of worker 0"
screen | grep -q '^  level 2' || fail "no lane of level 2"
expect_line 'visible time' 'visible time: 0.000 s to 2.000 s on 1 worker'
# 20 ms: alpha 10, of that rt 2 and batch 7.9; beta 9
expect_line '[└`] a rt' '50.0 100.0 50.0 0 10'
expect_line ' A alpha .*0' '50.0 0 0.0 50.0 0 0'
expect_line '[└`] a rt' ' 10.0 '
expect_line '[└`] b batch' ' 39.5 '
expect_line ' B beta .*0' ' 45.0 '
# zoomed in, stretches carry their names
keys + + + + + +
wait_for '500 us a column'
wait_for '^worker 0 +alpha +beta +.*alpha'
wait_for '^  level 2 +rt +.*batch +work +'
# facts of the stretch under the cursor
wait_for 'worker 0: alpha, guest alpha/rt \(level 2, 95.2 %\)'
wait_for '2.1 ms from 0.000000 s to 0.002100 s'
wait_for ' level 2: alpha/rt, 2 ms from 0.000000000 s'
for _ in $(seq 4); do keys Right; done
wait_for ' level 1: alpha, 100 us from 0.002000000 s'
# a single stretch of the VMM between its guests fills columns when zoomed in further
keys + + + + +
wait_for '10 us a column'
wait_for '^  level 1 .*alpha  *·'
keys - - - - -
wait_for '500 us a column'
for _ in $(seq 3); do keys Right; done
wait_for 'worker 0: alpha, guest alpha/batch \(level 2, 100.0 %\)'
wait_for '7.9 ms from 0.002100 s to 0.010000 s'
keys PageDown
wait_for 'from 0.04[0-9]+ s to 0.05'
# to the end, then back to the begin
keys End
wait_for 'follows'
wait_for 'worker 0: idle'
keys Home
wait_for 'guest alpha/rt'
keys 0
wait_for '50 ms a column'
keys q
expect_left 0
# lanes of machines and guests, of guests alone; marks are those of the selected lane
start 100 30 "$film"
wait_for 'read to its end'
wait_for '^marks .*!'
keys + + + + + + v
wait_for '^A alpha +alpha +· *·.*alpha'
wait_for '^ a rt +rt +·'
wait_for '^ b batch +·+▎batch'

wait_for '^B beta'
# and of their processes: work runs two, 5 and 4 ms
keys p
wait_for '^  10000 +·+work +·+'
wait_for '^  20000 +·+work +·+'
keys p
wait_gone '^  10000'
keys 0 Down Down Down
wait_for '^marks *$'
keys v
wait_for '^a rt '
wait_gone '^A alpha +alpha'
keys v
wait_for '^worker 0'
keys q
expect_left 0
# several workers: a group of lanes each, all of them reachable on a small screen
start 80 24 "$film -w 8"
wait_for 'read to its end'
screen | grep -q '^worker 7' && fail "worker 7 should not fit yet"
for _ in $(seq 23); do keys Down; done
wait_for '^worker 7'
wait_for '^ worker 7: alpha7, guest alpha7/rt'
keys q
expect_left 0
exit 0
