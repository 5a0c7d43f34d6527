#!/usr/bin/env bash
# Lab 9 and others under qos+state: quanta by processor state.
exec "$NESTOR_SRC/tests/e2e/lab_test.sh" 'lab(9|.*=qos\+state)'
