/*
 * nested_group.h - the one machine (vmx_fixture.h) of a test program about nested entries, and the
 * short names by which its tests speak of it. Included by programs only.
 */
#ifndef TESTS_UNIT_NESTED_GROUP_H
#define TESTS_UNIT_NESTED_GROUP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "tests/unit/vmx_fixture.h"

static struct vmxfix *f;
#define V (&f->nv.vmcs12)
#define CPU (&f->vp->cpu)

static int create(void **state)
{
	f = vmxfix_create();
	return 0;
}

static int destroy(void **state)
{
	vmxfix_destroy(f);
	return 0;
}

static inline void l2_code(const u8 *begin, const u8 *end)
{
	sysfix_code(f->sys, AT_L2, begin, end);
}
#define L2(name) l2_code(g_##name, g_##name##_end)

/* Enter, run, and be back in L1 (which halts at its host RIP) with @reason. */
static inline void expect_exit(bool launch, u32 reason)
{
	assert_int_equal(vmxfix_enter(f, launch), VMXFIX_HALT);
	if (f->vp->in_l2)
		fail_msg("still in L2 at 0x%llx", (unsigned long long)CPU->rip);
	assert_int_equal(CPU->rip, AT_HOST + 1);
	assert_int_equal(V->vm_exit_reason, reason);
}

#endif
