/*
 * A virtual processor with the exit layer on it: runs guest code as a worker would, handling exits,
 * until somebody halts or the machine stops. For tests of VMX instructions and of nested entry.
 */
#ifndef TESTS_UNIT_VMX_FIXTURE_H
#define TESTS_UNIT_VMX_FIXTURE_H

#include "l0/exit/exit.h"
#include "tests/unit/engine_sys_fixture.h"
#include "tests/unit/vmx_base.h"

#define AT_VMXON 0x40000u
#define AT_VMCS 0x41000u /* two regions */
#define AT_VMCS2 0x42000u
#define AT_MSR_LIST 0x43000u
#define AT_HOST 0x9000u /* host RIP: what L1 does after an exit; a HLT */
#define AT_L2 0x50000u	/* code of L2 */

enum vmxfix_end { VMXFIX_HALT, VMXFIX_STOP, VMXFIX_LIMIT };

struct vmxfix {
	struct sysfix *sys;
	struct vp *vp;
	struct nvmx nv;
	struct cpu_profile profile;
	bool no_shadowing; /* VMREAD and VMWRITE of L1 exit */
};

struct vmxfix *vmxfix_create(void);
void vmxfix_destroy(struct vmxfix *f);

/* L1 in 64-bit mode, VMX possible but off; memory as it was. */
void vmxfix_reset(struct vmxfix *f);
/* The same in VMX operation. */
void vmxfix_on(struct vmxfix *f);
/* The same with a current VMCS that passes every check, identity-mapped EPT, L2 at AT_L2. */
void vmxfix_current(struct vmxfix *f);

/* Run for at most @n instructions. */
enum vmxfix_end vmxfix_run(struct vmxfix *f, u64 n);
/* Run @code (ends with HLT) in L1 from where registers are; RIP is AT_CODE. */
enum vmxfix_end vmxfix_do(struct vmxfix *f, const u8 *code, const u8 *end);
/* VMLAUNCH or VMRESUME and on until somebody halts. */
enum vmxfix_end vmxfix_enter(struct vmxfix *f, bool launch);

/* How the last VMX instruction ended: 0, -1 for VMfailInvalid, else the error number; -2 for other
 * flags. */
int vmxfix_result(const struct vmxfix *f);

#endif
