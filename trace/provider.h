/*
 * provider: what the separate object libnestor-provider.so gives to the program that loads it
 *
 * It holds the LTTng tracepoints and is loaded only when a trace is wanted, after the environment
 * that LTTng's constructor reads has been set (session.c). One symbol, trace_provider, found by
 * dlsym(). Any thread may emit. Cost: about 100 ns an event that a session takes, a test when none
 * does.
 */
#ifndef TRACE_PROVIDER_H
#define TRACE_PROVIDER_H

#include "l0/arch/events.h"

#define TRACE_PROVIDER_SYMBOL "trace_provider"
#define TRACE_PROVIDER_ABI (0x6e657300u + TRANSITION_COUNT)

struct trace_provider {
	u32 abi;
	/* Emit @count records; stops early when *@stop becomes true. Adds each to *@done. */
	u32 (*emit)(const struct transition *t, u32 count, const bool *stop, u64 *done);
	/* Kinds that some session wants at this moment. */
	u64 (*enabled)(void);
};

#endif
