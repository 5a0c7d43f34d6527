#!/usr/bin/env bash
# Lab 7: nobody gets more than its share by looking like a real-time guest.
# One thread: not in MODE=tsan.
exec "$NESTOR_SRC/tests/e2e/lab_test.sh" 'lab7.*'
