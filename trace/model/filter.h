/*
 * filter: which lines of the log are shown
 *
 * An expression of terms separated by blanks, all of which must hold:
 *   word          the event's line has it, in any case
 *   key=value     a field (or vtime, worker, level, vcpu_id, event) prints as that, or begins so
 *                 when the value ends in *
 *   key>n key<n   its number is larger or smaller (n decimal or 0x…)
 *   !term         the term does not hold
 *   a|b           one of them does
 * Pure; called for each line of the log. Cost: some us a line.
 */
#ifndef TRACE_MODEL_FILTER_H
#define TRACE_MODEL_FILTER_H

#include "l0/arch/events.h"

/* @text: transition_text() of @t. */
bool filter_takes(const char *expression, const struct transition *t, const char *text);

#endif
