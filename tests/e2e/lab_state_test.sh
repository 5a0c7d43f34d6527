#!/usr/bin/env bash
# Lab 9 and others under qos+state: quanta by processor state; workers with a topology.
# One thread: not in MODE=tsan.
exec "$NESTOR_SRC/tests/e2e/lab_test.sh" '(topology|lab(9|.*=qos\+state))'
