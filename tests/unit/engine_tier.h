/* Tests and benchmarks of the engine take their tier from the environment:
 * NESTOR_ENGINE=interp|jit|check, with NESTOR_JIT_HEAT, NESTOR_JIT_OFF, NESTOR_JIT_ARENA for the
 * translator. */
#ifndef TESTS_UNIT_ENGINE_TIER_H
#define TESTS_UNIT_ENGINE_TIER_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "l0/jit/jit.h"

static inline bool tier_is_jit(void)
{
	const char *s = getenv("NESTOR_ENGINE");

	return s && strcmp(s, "interp");
}

static inline void tier_differs(struct vp *vp, u64 rip, const char *text)
{
	(void)vp;
	printf("translated code and the interpreter differ in the block at %#llx:\n%s",
	       (unsigned long long)rip, text);
	fflush(stdout);
	abort();
}

/* After engine_vp_init(). @heat: when the environment does not say. Return: false: no such tier
 * here. */
static inline bool tier_attach(struct vp *vp, u32 heat)
{
	const char *h = getenv("NESTOR_JIT_HEAT"), *off = getenv("NESTOR_JIT_OFF"),
		   *a = getenv("NESTOR_JIT_ARENA");
	struct jit_config cfg = {.heat = h ? (u32)atoi(h) : heat,
				 .arena_bytes = a ? strtoull(a, NULL, 0) : 0};
	int err;

	if (!strcmp(getenv("NESTOR_ENGINE") ? getenv("NESTOR_ENGINE") : "", "check"))
		cfg.differs = tier_differs;
	if (off && jit_parse_groups(off, &cfg.off))
		printf("NESTOR_JIT_OFF: no group '%s'\n", off);
	err = jit_attach(vp, &cfg);
	if (err)
		printf("no translator in this build or on this host (%d)\n", err);
	return !err;
}

#endif
