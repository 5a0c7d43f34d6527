/* How the VMM ends: well, or in one of the ways in which a VMM goes wrong while its guests run. */
#include "l1-child/lib/console.h"
#include "l1-child/vmm/vmm.h"

/*
 * VMX abort: the next VM exit is to load an MSR that it must not load.
 * Source: SDM 3C "Loading MSRs", "VMX Aborts".
 */
static void end_by_abort(struct l2 *g)
{
	static const struct vmx_msr_entry fs_base[1]
		__attribute__((aligned(16))) = {{.index = 0xc0000100}};

	vmwrite(VMCS_VM_EXIT_MSR_LOAD_ADDR, (u64)fs_base);
	vmwrite(VMCS_VM_EXIT_MSR_LOAD_COUNT, 1);
	l2_enter(g);
	con_die("end=abort: there was a VM exit");
}

static void end_by_triple_fault(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none = {0};

	__asm__ volatile("lidt %0; ud2" ::"m"(none));
}

void vmm_end(struct vmm *vm, int status)
{
	switch (vm->config.end) {
	case END_EXIT: break;
	case END_ABORT: end_by_abort(vm->current); break;
	case END_TRIPLE: end_by_triple_fault(); break;
	case END_VMXOFF:
		__asm__ volatile("vmxoff" ::: "cc", "memory");
		for (;;)
			__asm__ volatile("");
	case END_HANG:
		for (;;)
			__asm__ volatile("cli; hlt");
	}
	con_exit((u8)status);
}
