#include "shadow-vmcs/reflect.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"

struct reflect_ctx {
	const struct vmcs12 *v;
	const struct vmx_controls *ctl;
	const struct cpu_state *cpu;
	const struct vmexit *e;
};

typedef bool (*reflect_fn)(const struct reflect_ctx *c);

static inline bool pin(const struct reflect_ctx *c, u32 bit)
{
	return c->v->pin_based_vm_exec_control & bit;
}
static inline bool proc(const struct reflect_ctx *c, u32 bit)
{
	return c->v->cpu_based_vm_exec_control & bit;
}
static inline bool proc2(const struct reflect_ctx *c, u32 bit)
{
	return proc(c, PROC_SECONDARY) && (c->v->secondary_vm_exec_control & bit);
}

static bool wanted_always_l1(const struct reflect_ctx *c)
{
	return true;
}
static bool wanted_never_l1(const struct reflect_ctx *c)
{
	return false;
}

/* SDM 3C "Exception Bitmap": page faults go by the mask and match of the error code as well. */
bool reflect_exception_wanted(const struct vmcs12 *v, u32 vector, u32 error)
{
	bool set = v->exception_bitmap >> (vector & 31) & 1;

	if (vector == VECTOR_PF) {
		bool match =
			(error & v->page_fault_error_code_mask) == v->page_fault_error_code_match;

		return match ? set : !set;
	}
	return set;
}

static bool wanted_EXCEPTION_NMI(const struct reflect_ctx *c)
{
	u32 info = c->e->intr_info;

	if ((info & INTR_INFO_TYPE) >> INTR_INFO_TYPE_SHIFT == INTR_TYPE_NMI)
		return pin(c, PIN_NMI);
	return reflect_exception_wanted(c->v, info & INTR_INFO_VECTOR, c->e->intr_error);
}
static bool wanted_EXTERNAL_INTERRUPT(const struct reflect_ctx *c)
{
	return pin(c, PIN_EXTERNAL_INTERRUPT);
}
static bool wanted_INTERRUPT_WINDOW(const struct reflect_ctx *c)
{
	return proc(c, PROC_INTERRUPT_WINDOW);
}
static bool wanted_NMI_WINDOW(const struct reflect_ctx *c)
{
	return proc(c, PROC_NMI_WINDOW);
}
static bool wanted_HLT(const struct reflect_ctx *c)
{
	return proc(c, PROC_HLT);
}
static bool wanted_INVLPG(const struct reflect_ctx *c)
{
	return proc(c, PROC_INVLPG);
}
static bool wanted_RDPMC(const struct reflect_ctx *c)
{
	return proc(c, PROC_RDPMC);
}
static bool wanted_RDTSC(const struct reflect_ctx *c)
{
	return proc(c, PROC_RDTSC);
}

/* Without a shadow VMCS every VMREAD and VMWRITE of L2 exits; with one, the bitmap was asked. */
static bool wanted_VMREAD(const struct reflect_ctx *c)
{
	return true;
}
#define wanted_VMWRITE wanted_VMREAD

/* MOV to and from CR, CLTS, LMSW. SDM 3C "Instructions That Cause VM Exits Conditionally". */
static bool wanted_CR_ACCESS(const struct reflect_ctx *c)
{
	u32 q = (u32)c->e->qualification;
	u32 cr = q & CR_ACCESS_NUMBER, type = q >> CR_ACCESS_TYPE_SHIFT & 3;
	u64 changed;

	switch (type) {
	case CR_ACCESS_MOV_FROM: return cr == 3 ? proc(c, PROC_CR3_STORE) : proc(c, PROC_CR8_STORE);
	case CR_ACCESS_CLTS:
		return (c->v->cr0_guest_host_mask & CR0_TS) && (c->v->cr0_read_shadow & CR0_TS);
	case CR_ACCESS_LMSW:
		changed = (q >> 16 ^ c->v->cr0_read_shadow) & c->v->cr0_guest_host_mask & 0xf;
		/* LMSW cannot clear PE */
		return (changed & 0xe) || ((changed & 1) && (q >> 16 & 1));
	default: break;
	}
	switch (cr) {
	case 0: return (c->e->operand_value ^ c->v->cr0_read_shadow) & c->v->cr0_guest_host_mask;
	case 3: return proc(c, PROC_CR3_LOAD);
	case 4: return (c->e->operand_value ^ c->v->cr4_read_shadow) & c->v->cr4_guest_host_mask;
	default: return proc(c, PROC_CR8_LOAD);
	}
}
static bool wanted_DR_ACCESS(const struct reflect_ctx *c)
{
	return proc(c, PROC_MOV_DR);
}

/* Qualification: size - 1 in bits 2:0, port in bits 31:16. */
static bool wanted_IO_INSTRUCTION(const struct reflect_ctx *c)
{
	u32 size = (c->e->qualification & 7) + 1, port = c->e->qualification >> 16 & 0xffff;

	if (!proc(c, PROC_IO_BITMAPS))
		return proc(c, PROC_UNCONDITIONAL_IO);
	if (port + size > 0x10000)
		return true; /* wraps around the end of the port space */
	for (u32 p = port; p < port + size; p++) {
		const u8 *map = p < 0x8000 ? c->ctl->io_bitmap_a : c->ctl->io_bitmap_b;

		if (!map || (map[(p & 0x7fff) / 8] >> (p & 7) & 1))
			return true;
	}
	return false;
}

/* SDM 3C "MSR-Bitmap Address": 1 KiB each for reads and writes of the low and the high range. */
bool reflect_msr_bitmap(const u8 *map, u32 msr, bool write)
{
	u32 n = msr & 0x1fff;

	if (!map || (msr != n && msr != (0xc0000000u | n)))
		return true;
	map += (write ? 2048 : 0) + (msr & 0x80000000u ? 1024 : 0);
	return map[n / 8] >> (n & 7) & 1;
}
static bool wanted_msr(const struct reflect_ctx *c, bool write)
{
	return !proc(c, PROC_MSR_BITMAPS) ||
	       reflect_msr_bitmap(c->ctl->msr_bitmap, (u32)c->cpu->gpr[RCX], write);
}
static bool wanted_RDMSR(const struct reflect_ctx *c)
{
	return wanted_msr(c, false);
}
static bool wanted_WRMSR(const struct reflect_ctx *c)
{
	return wanted_msr(c, true);
}
static bool wanted_MWAIT(const struct reflect_ctx *c)
{
	return proc(c, PROC_MWAIT);
}
static bool wanted_MONITOR_TRAP_FLAG(const struct reflect_ctx *c)
{
	return true; /* the flag itself, or a pending exit that the entry injected */
}
static bool wanted_MONITOR(const struct reflect_ctx *c)
{
	return proc(c, PROC_MONITOR);
}
static bool wanted_PAUSE(const struct reflect_ctx *c)
{
	return proc(c, PROC_PAUSE) || proc2(c, PROC2_PAUSE_LOOP);
}
static bool wanted_TPR_BELOW_THRESHOLD(const struct reflect_ctx *c)
{
	return proc(c, PROC_TPR_SHADOW);
}
static bool wanted_APIC_ACCESS(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_APIC_ACCESSES);
}
static bool wanted_VIRTUALIZED_EOI(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_VIRTUAL_INTERRUPT);
}
static bool wanted_GDTR_IDTR(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_DESCRIPTOR_TABLE);
}
#define wanted_LDTR_TR wanted_GDTR_IDTR

/* L0 uses no EPT of its own: every violation was found in ept12. */
static bool wanted_EPT_VIOLATION(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_EPT);
}
#define wanted_EPT_MISCONFIG wanted_EPT_VIOLATION

static bool wanted_RDTSCP(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_RDTSCP) && proc(c, PROC_RDTSC);
}
static bool wanted_PREEMPTION_TIMER(const struct reflect_ctx *c)
{
	return pin(c, PIN_PREEMPTION_TIMER);
}
static bool wanted_WBINVD(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_WBINVD);
}
static bool wanted_APIC_WRITE(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_APIC_REGISTER | PROC2_VIRTUAL_INTERRUPT);
}
static bool wanted_RDRAND(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_RDRAND);
}
static bool wanted_INVPCID(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_INVPCID) && proc(c, PROC_INVLPG);
}
/* L0 carries out what L1 enabled; its handler gives L1 the calls that exit. */
static bool wanted_VMFUNC(const struct reflect_ctx *c)
{
	return false;
}
static bool wanted_ENCLS(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_ENCLS);
}
static bool wanted_RDSEED(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_RDSEED);
}
static bool wanted_PML_FULL(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_PML);
}
static bool wanted_XSAVES(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_XSAVES);
}
#define wanted_XRSTORS wanted_XSAVES
static bool wanted_SPP_EVENT(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_SPP);
}
static bool wanted_UMWAIT(const struct reflect_ctx *c)
{
	return proc2(c, PROC2_USER_WAIT) && proc(c, PROC_RDTSC);
}
#define wanted_TPAUSE wanted_UMWAIT

#define REFLECT_ALWAYS_L1(name) wanted_always_l1
#define REFLECT_NEVER_L1(name) wanted_never_l1
#define REFLECT_CTL(name) wanted_##name

static const reflect_fn reflect_table[EXIT_REASON_COUNT] = {
	[0 ... EXIT_REASON_COUNT - 1] = wanted_never_l1,
#define EXIT_REASON(number, name, text, keep) [number] = REFLECT_##keep(name),
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

bool reflect_wanted(const struct vmcs12 *v, const struct vmx_controls *ctl,
		    const struct cpu_state *cpu, const struct vmexit *e)
{
	const struct reflect_ctx c = {v, ctl, cpu, e};
	u32 reason = e->reason & 0xffff;

	return reason < EXIT_REASON_COUNT && reflect_table[reason](&c);
}
