#!/usr/bin/env bash
# Labs 5 and 6: real-time processes inside a guest, processors that wait for each other; lab 1 with other
# slices and with a machine that stops.
# One thread: not in MODE=tsan.
exec "$NESTOR_SRC/tests/e2e/lab_test.sh" 'lab([56].*|1[@+].*)'
