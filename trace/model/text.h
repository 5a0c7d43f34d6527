/*
 * text: one event as a line of text
 *
 * Used by sink.nestor.events and the viewer's log. Pure.
 */
#ifndef TRACE_MODEL_TEXT_H
#define TRACE_MODEL_TEXT_H

#include "l0/arch/events.h"

#define TRANSITION_TEXT_BYTES 1024

/**
 * transition_text - "S.NNNNNNNNN WORKER:SEQ L2/0x80000001 vm_exit exit_reason=CPUID …"
 * @host: with the fields that depend on the host, too
 * @buf: of TRANSITION_TEXT_BYTES
 * Return: @buf.
 */
const char *transition_text(const struct transition *t, bool host, char *buf);

/* Its payload's fields alone, each after a blank. */
const char *transition_fields_text(const struct transition *t, bool host, char *buf);

#endif
