/*
 * One L2: its memory, its VMCS, its registers that VMX does not switch, its virtual timer and its
 * counts. One virtual processor each.
 */
#ifndef L1_CHILD_VMM_L2_H
#define L1_CHILD_VMM_L2_H

#include "l1-child/lib/types.h"
#include "l1-child/vmm/config.h"
#include "l1-child/vmm/ept.h"
#include "l1-child/vmm/vmx.h"

/*
 * General registers in the order of their numbers in instructions and exit qualifications. enter.S
 * pushes them: the layout is fixed. RSP is in the VMCS; its place is unused.
 */
struct l2_regs {
	u64 rax, rcx, rdx, rbx, unused, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
BUILD_ASSERT_SIZE(struct l2_regs, 128);

#define SWITCHED_MSRS 3
#define TEXT_LINE 120
#define IO_BITMAP_PAGES 2

enum l2_state { L2_RUNNABLE, L2_HALTED, L2_STOPPED };

struct l2 {
	struct l2_regs regs; /* first: enter.S */
	u64 cr2;
	u64 launched;
	void *vmcs;
	const struct vmx_caps *caps;
	const struct guest_config *config;
	struct guest_shared *shared; /* in the L2's memory */
	struct ept ept;
	struct vmx_msr_entry *msrs; /* in the order of l2.c's switched_msrs */
	unsigned int number;
	u16 vpid;
	enum l2_state state;
	bool crashed;
	u32 exit_code;
	u32 proc_controls;

	/* scheduling */
	u32 priority;
	bool fresh_slice; /* gets a full slice when it runs next */
	u32 slice_counts; /* in units of the preemption timer */

	/* the virtual timer */
	u64 period_tsc, next_tsc, grid_tsc, jitter_tsc;
	u32 seed;
	u32 vector;
	bool tick_pending;
	u64 ticks_due, ticks_injected;

	/* accounting */
	u64 cpu_tsc, dispatches, exits_total;
	u64 exits[EXIT_REASON_COUNT];

	/* a line of the L2's text, shown when it is whole */
	char text[TEXT_LINE];
	unsigned int text_len;
};

/* What an L2 is made from. */
struct l2_setup {
	const struct vmx_caps *caps;
	const struct config *config;
	unsigned int number;
	void *io_bitmaps; /* two pages, all ones */
};

/* l2_create - memory, image, first page tables, VMCS; ready to enter, not queued. The VMCS of the
 * new L2 is the current one afterwards. */
void l2_create(struct l2 *g, const struct l2_setup *setup);

/* l2_enter - run until the next VM exit, the L2's VMCS being current. Return: the exit reason
 * field; a failed VMLAUNCH or VMRESUME stops the machine. enter.S */
u32 l2_enter(struct l2 *g);

/* Called by enter.S when VMLAUNCH or VMRESUME failed. */
void l2_entry_failed(struct l2 *g, u64 rflags) __attribute__((noreturn));

/* l2_dump - everything that tells why the L2 stopped, on the console. Its VMCS is current. */
void l2_dump(const struct l2 *g, u32 reason);

/* l2_put_char - one character of the L2's own text; whole lines appear with the L2's name. */
void l2_put_char(struct l2 *g, char c);

/* l2_set_msr - give an MSR that is switched with the L2 its value; false: not such an MSR. */
bool l2_set_msr(struct l2 *g, u32 index, u64 value);
bool l2_get_msr(const struct l2 *g, u32 index, u64 *value);

/* The name of a basic exit reason. */
const char *l2_exit_name(u32 reason);

#endif
