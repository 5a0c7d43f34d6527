/*
 * engine_sys_group.h - the one machine (engine_sys_fixture.h) of a test program: made before its
 * tests, reset before each, and the short names by which they speak of it. Included by programs
 * only.
 */
#ifndef TESTS_UNIT_ENGINE_SYS_GROUP_H
#define TESTS_UNIT_ENGINE_SYS_GROUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>
#include "tests/unit/engine_sys_fixture.h"

static struct sysfix *f;

#define REGS (f->vp.cpu)
#define CODE(bytes) sysfix_bytes(f, REGS.rip, bytes, sizeof(bytes) - 1)
#define T(fn) cmocka_unit_test_setup(fn, setup)

static int setup(void **state)
{
	sysfix_reset(f);
	return 0;
}

static int create(void **state)
{
	f = sysfix_create();
	return 0;
}

static int destroy(void **state)
{
	sysfix_destroy(f);
	return 0;
}

static inline u64 stack_at(u32 index, u32 size)
{
	return sysfix_peek(f, REGS.seg[SEG_SS].base + REGS.gpr[RSP] + index * size, size);
}

/* Run one instruction. Return: the vector it raised, or -1. The error code goes to *err. */
static inline int one(u32 *err)
{
	enum engine_stop s;

	f->vp.ctl.exception_bitmap = ~0u;
	s = sysfix_run(f, 1);
	if (s != ENGINE_STOP_EXIT)
		return -1;
	assert_int_equal(f->vp.exit.reason, EXIT_REASON_EXCEPTION_NMI);
	if (err)
		*err = f->vp.exit.intr_error;
	return (int)(f->vp.exit.intr_info & 0xff);
}

#endif
