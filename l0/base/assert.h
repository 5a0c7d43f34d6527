/*
 * assert.h - stop on our own bugs
 *
 * ASSERT is always compiled in; ASSERT_DBG only with MODE=dbg and the sanitizer modes
 * (NESTOR_DEBUG), for hot paths. Conditions have no side effects. Guest data must never be able to
 * make one fail: guest-visible errors are results, host failures are -errno. Cost: one predicted
 * branch.
 */
#ifndef L0_BASE_ASSERT_H
#define L0_BASE_ASSERT_H

#include "l0/base/types.h"

#define ASSERT(cond) \
	do { \
		if (unlikely(!(cond))) \
			assert_failed(#cond, __FILE__, __LINE__, __func__); \
	} while (0)

#ifdef NESTOR_DEBUG
#define ASSERT_DBG(cond) ASSERT(cond)
#else
#define ASSERT_DBG(cond) ((void)sizeof(!(cond)))
#endif

/* A place that cannot be reached unless we are wrong; @why is a short string literal. */
#define ASSERT_UNREACHABLE(why) assert_failed("unreachable: " why, __FILE__, __LINE__, __func__)

/**
 * assert_failed - print what failed and where, let the context printer add its part, abort()
 * @expr, @file, @line, @func: filled in by ASSERT
 */
_Noreturn void assert_failed(const char *expr, const char *file, int line, const char *func)
	__attribute__((cold));

/**
 * assert_set_context_printer - have failures also print who was running (vcpu, rip)
 * @print: called once before abort(), writes to stderr; NULL removes it. A failure inside it is
 *         printed plainly and does not recurse.
 * @arg:   passed to it; owned by the caller
 *
 * The registration is per thread, since each worker runs its own virtual processor.
 */
void assert_set_context_printer(void (*print)(void *arg), void *arg);

#endif
