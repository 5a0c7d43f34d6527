/*
 * coverage.h - what of VMX the children of a machine have used: which announced controls were 1 at
 * a VM entry, which exits they got, which checks and instructions failed. For `nestor run
 * --vmx-coverage` and the test that everything announced is exercised. Reads the counters that
 * l0/exit keeps; called when the machine stands still.
 */
#ifndef L0_EXIT_COVERAGE_H
#define L0_EXIT_COVERAGE_H

#include <stdio.h>
#include "l0/exit/nested.h"

/**
 * exit_coverage_print - one line for each thing that @nv's processor model announces
 * "vmx-coverage KIND NAME COUNT", KIND being control, exit, check or error; 0: not used. A control
 * or a check counts as used or not, 1 or 0.
 */
void exit_coverage_print(const struct nvmx *nv, FILE *out);

#endif
