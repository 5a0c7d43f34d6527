/*
 * Harness of the VMX tests: a program that runs as L1, turns VMX on and checks, one behaviour at a
 * time, that the processor does what the SDM says. Its L2 is a C function in the same address space
 * (no EPT unless a test sets it up), so a test reads from top to bottom: set fields, enter, look at
 * the exit, resume.
 *
 * Built from the child VMM's parts; speaks TAP on the serial port. What a processor does not
 * announce is skipped.
 */
#ifndef TESTS_NESTED_VMXT_H
#define TESTS_NESTED_VMXT_H

#include "l1-child/boot/boot.h"
#include "l1-child/lib/console.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"
#include "l1-child/vmm/irq.h"
#include "l1-child/vmm/l2.h"
#include "l1-child/vmm/page.h"
#include "l1-child/vmm/vmx.h"

enum vmxt_status { VMX_OK, VMX_FAIL_INVALID, VMX_FAIL_VALID, VMX_FAULT };

typedef void (*vmxt_guest_fn)(void);

struct vmxt {
	struct vmx_caps caps;
	u64 vmxon_region, vmcs,
		other_vmcs; /* physical addresses of regions with the revision set */
	u8 *io_bitmaps, *msr_bitmap;
	u8 *stack;	     /* of the L2 */
	struct l2_regs regs; /* of the L2 */
	bool launched;
	u64 *ept;	 /* top table of the identity map, once there */
	u64 entry_flags; /* RFLAGS after a failed entry, else 0 */
	u32 reason;
	u64 qualification;
};

/* One test. Registered in the tables at the end of each file of tests. */
struct vmxt_case {
	const char *name;
	void (*fn)(struct vmxt *t);
};
extern const struct vmxt_case vmxt_insn_cases[], vmxt_entry_cases[], vmxt_exit_cases[],
	vmxt_event_cases[], vmxt_state_cases[], vmxt_ept_cases[], vmxt_mode_cases[],
	vmxt_feature_cases[], vmxt_subtle_cases[], vmxt_apic_cases[], vmxt_hot_cases[];

enum vmxt_result { VMXT_PASSED, VMXT_FAILED, VMXT_SKIPPED, VMXT_RESULTS };

/* Everything up to VMXON; call first. boot is filled. */
void vmxt_begin(struct vmxt *t, struct boot_info *boot, u64 info, u64 magic);

/* Runs one case; *why is the reason when it was skipped. */
enum vmxt_result vmxt_run_case(struct vmxt *t, const struct vmxt_case *c, const char **why);

/* Checks: the test goes on, its line says "not ok", the place and the values are shown. */
void vmxt_check(bool ok, const char *what, const char *file, int line, u64 got, u64 want);
#define CHECK(cond) vmxt_check((cond), #cond, __FILE__, __LINE__, 0, 0)
#define CHECK_EQ(got, want) \
	({ \
		u64 got_ = (u64)(got), want_ = (u64)(want); \
		vmxt_check(got_ == want_, #got " == " #want, __FILE__, __LINE__, got_, want_); \
	})
/* Leaves the test as skipped. */
void vmxt_skip(const char *why);
#define NEED(cond, why) \
	do { \
		if (!(cond)) { \
			vmxt_skip(why); \
			return; \
		} \
	} while (0)

/* A label of the current loop turn, shown with failing checks ("" for none). */
void vmxt_note(const char *text, u64 value);

/* Makes the VMCS clear and current with fields that a VM entry accepts; the L2 will run fn on its
 * own stack with this program's tables. */
void vmxt_prepare(struct vmxt *t, vmxt_guest_fn fn);

/* Adds controls, those allowed; false: the processor has them not. */
bool vmxt_control(struct vmxt *t, enum vmx_control which, u32 bits);

/* Turns EPT on with an identity map of the first GiB; false: the processor has it not. */
bool vmxt_identity_ept(struct vmxt *t);

/* VMLAUNCH or VMRESUME; fills entry_flags, or reason and qualification. */
void vmxt_enter(struct vmxt *t);

/* Enters and checks that this exit came. */
#define EXPECT_EXIT(t, want) \
	do { \
		vmxt_enter(t); \
		CHECK_EQ((t)->entry_flags, 0); \
		CHECK_EQ((t)->reason, (want)); \
	} while (0)

/* Enters and checks that the guest got to its VMCALL with this number in RAX, without a trap. */
void vmxt_expect_call(struct vmxt *t, u64 number, const char *file, int line);
#define EXPECT_CALL(t, number) vmxt_expect_call((t), (number), __FILE__, __LINE__)

/* Enters and checks that the guest took this trap; the guest then stands in the handler. */
void vmxt_expect_trap(struct vmxt *t, u32 vector, const char *file, int line);
#define EXPECT_TRAP(t, vector) vmxt_expect_trap((t), (vector), __FILE__, __LINE__)

/* Past the instruction that exited. */
void vmxt_step_over(void);

/* Frame of the guest's last trap; changes to it take effect when the handler returns. */
extern struct irq_frame *vmxt_trap_frame;
/* Interrupts that this program (L1) took through its IDT. */
extern volatile u32 vmxt_interrupts, vmxt_last_vector;
/* An end-of-interrupt to the local APIC; an interrupt to oneself. */
void vmxt_eoi(void);
void vmxt_self_interrupt(u32 vector);
/* An INIT to oneself. */
void vmxt_self_init(void);

/* The guest's way of saying where it is: VMCALL with the number in RAX. */
static inline void guest_call(u64 number)
{
	__asm__ volatile("vmcall" : "+a"(number) : : "memory");
}
#define GUEST_TRAPPED 0x7e57000000000000ull

/* One instruction that may fault or fail. Operands by name; vmxt_fault is the vector. */
extern volatile s64 vmxt_fault;
#define TRY(text, ...) \
	({ \
		u8 cf_, zf_; \
		vmxt_fault = -1; \
		__asm__ volatile("movq $77f, vmxt_recover\n\t" text "\n77:\tsetc %[cf_]\n\t" \
				 "setz %[zf_]\n\tmovq $0, vmxt_recover" \
				 : [cf_] "=&q"(cf_), [zf_] "=&q"(zf_) \
				 : __VA_ARGS__ \
				 : "memory", "cc"); \
		vmxt_fault >= 0 ? VMX_FAULT \
		: cf_		? VMX_FAIL_INVALID \
		: zf_		? VMX_FAIL_VALID \
				: VMX_OK; \
	})

static inline enum vmxt_status try_vmxon(u64 pa)
{
	return TRY("vmxon %[pa]", [pa] "m"(pa));
}
static inline enum vmxt_status try_vmclear(u64 pa)
{
	return TRY("vmclear %[pa]", [pa] "m"(pa));
}
static inline enum vmxt_status try_vmptrld(u64 pa)
{
	return TRY("vmptrld %[pa]", [pa] "m"(pa));
}
static inline enum vmxt_status try_vmwrite(u64 field, u64 v)
{
	return TRY("vmwrite %[v], %[f]", [f] "r"(field), [v] "r"(v));
}
static inline enum vmxt_status try_vmread(u64 field, u64 *v)
{
	return TRY("vmread %[f], %[v]", [f] "r"(field), [v] "m"(*v));
}

/* The VM-instruction error. */
u32 vmxt_error(void);

#endif
