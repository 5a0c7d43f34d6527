/*
 * struct vp: a virtual processor as the engine sees it. Data that any worker runs; no thread owns
 * it, and at most one worker runs it at a time. Only the engine and the exit layer touch @cpu while
 * it runs; other threads reach it through vp_request() alone.
 *
 * While engine_run() is active the arithmetic flags live in @arith, RIP in the operation being
 * executed, and the vector state possibly in the host's registers (@vec_live); at every return from
 * engine_run() rip and rflags in @cpu are complete, and the vector state may stay live.
 */
#ifndef L0_ENGINE_VP_H
#define L0_ENGINE_VP_H

#include "l0/arch/cpu_state.h"
#include "l0/arch/msr.h"
#include "l0/arch/vmexit.h"
#include "l0/arch/vmx_controls.h"
#include "l0/arch/x86.h"
#include "l0/base/types.h"
#include "l0/engine/branches.h"
#include "l0/engine/pmu.h"
#include "vtlb/vtlb.h"

struct mem;
struct op;
struct block;
struct code_cache;
struct vec_stubs;
struct trace_ctx;
struct cpu_features;
struct vp;

/* Reasons to look up at the next instruction boundary (event_boundary() in event.c). */
#define VP_ATTN_REQUEST 0x0001u /* another thread, or the worker, wants engine_run() to return */
#define VP_ATTN_INTR 0x0002u	/* INTR line: an interrupt controller has a vector for this VP */
#define VP_ATTN_NMI 0x0004u
#define VP_ATTN_INIT 0x0008u
#define VP_ATTN_SIPI 0x0010u
#define VP_ATTN_INTR_WINDOW 0x0020u /* "interrupt-window exiting" is 1 */
#define VP_ATTN_NMI_WINDOW 0x0040u
#define VP_ATTN_MTF 0x0080u
#define VP_ATTN_STEP 0x0100u	   /* RFLAGS.TF, a shadow (STI, MOV SS), pending debug exceptions */
#define VP_ATTN_SAFE_POINT 0x0200u /* the virtual TLB wants vtlb_safe_point() */
#define VP_ATTN_INJECT 0x0400u	   /* VM entry: deliver @inject first */
#define VP_ATTN_VIRQ 0x0800u	   /* a pending virtual interrupt has been recognized */
#define VP_ATTN_WATCH 0x1000u /* DR7 has enabled breakpoints: run by single steps where needed */
#define VP_ATTN_TRACE 0x2000u /* --trace-exec */
#define VP_ATTN_VAPIC 0x4000u /* a write to the virtual APIC is to be completed, see vapic.c */
#define VP_ATTN_NMI_AGAIN \
	0x20000u /* with VP_ATTN_NMI: one more came before that was taken, see try_nmi() */
#define VP_ATTN_STORE 0x10000u /* a store that MWAIT may wait for */
#define VP_ATTN_CODE 0x8000u   /* code was overwritten: vp->tier has to look (mem_watch_code()) */

/* What the machine gives the engine. All may be called in mid-instruction; none blocks. */
struct vp_ops {
	/* Interrupt acknowledge cycle: vector 0-255, or -1 when the line was spurious. Updates the
	 * controller and drops VP_ATTN_INTR when nothing else is pending. */
	int (*intr_ack)(struct vp *vp);
	/* End of the interrupt that intr_ack() gave last, without the guest: a posted-interrupt
	 * notification. May be NULL. */
	void (*intr_eoi)(struct vp *vp);
	/* The time-stamp counter of the machine (before TSC offset/scaling) at @vp->insns. */
	u64 (*tsc)(struct vp *vp);
	void (*set_tpr)(struct vp *vp, u8 tpr); /* MOV CR8: TPR[7:4] in bits 7:4 */
	u8 (*get_tpr)(struct vp *vp);
	/* a counter has overflowed: the local APIC's LVT entry; or NULL */
	void (*pmi)(struct vp *vp);
	/* Called before every instruction when VP_ATTN_TRACE is set, cpu state complete. Return:
	 * false: do not execute it, engine_run() returns ENGINE_STOP_REQUEST. */
	bool (*trace_exec)(struct vp *vp);
	/* Called for every data access while @vp->host_watch is set: a debugger's watchpoints. */
	void (*watch)(struct vp *vp, u64 gva, u32 size, bool write);
	/* While @vp->watch_stacks: code at CPL 0 has loaded the stack pointer, or a base register
	 * that kernels give each thread. @how: enum thread_cause; @value: linear address of the
	 * stack's top, or the base; @prev: RSP before. @vp->insns is the count before the
	 * instruction. */
	void (*stack_load)(struct vp *vp, u32 how, u64 value, u64 prev);
};

/* MWAIT: the halt ends with a store to the line, and by the second with a masked interrupt. */
enum vp_mwait { MWAIT_NO, MWAIT_WAITS, MWAIT_WAITS_MASKED };

/* A faster tier (l0/jit) that replaces handlers of cached operations by code of its own. */
struct engine_tier {
	/* Call op->fn, which may destroy every register but the stack pointer. */
	void (*enter)(struct vp *vp, const struct op *op);
	void (*block_made)(struct vp *vp, struct block *b);
	void (*cache_flushed)(struct vp *vp); /* no block is there any more, none runs */
	void (*block_gone)(struct vp *vp, struct block *b); /* the same of one that has block.own */
	/* @ops is a copy of @b's first @n: put the handlers in place that they had without the tier. */
	void (*give_back)(struct vp *vp, const struct block *b, struct op *ops, u32 n);
	void (*code_changed)(struct vp *vp); /* VP_ATTN_CODE; between blocks */
	/* While vp->compared: @op is about to do what cannot be undone (system instructions,
	 * whatever the soft TLB does not serve, repeated strings). Nothing of it is done. May leave
	 * by ESCAPE_CUT. */
	void (*before_effect)(struct vp *vp, const struct op *op);
	/* The soft TLB got a write tag of the host page @hva; or NULL. */
	void (*write_filled)(struct vp *vp, u8 *hva);
	/* May translated code write to the host page @hva because a page next to it has a write
	 * tag? NULL: yes. */
	bool (*may_write)(struct vp *vp, u8 *hva);
};

/*
 * Where translated code finds the code of a branch target in another page: by RIP, good as long as
 * @key is the VP's own, which tells translations and modes apart.
 */
#define VP_JUMPS 4096u
struct jump_slot {
	u64 rip, key;
	u64 hot; /* host code */
	u8 *hva; /* of the target */
};

static inline u32 jump_index(u64 rip)
{
	return ((u32)rip ^ (u32)rip >> 12) & (VP_JUMPS - 1);
}

#define SOFTTLB_BITS 10
#define SOFTTLB_ENTRIES (1u << SOFTTLB_BITS)
#define SOFTTLB_WRITABLE 126u
#define SOFTTLB_RUNS 64u
#define SOFTTLB_MODES 5u				     /* enum softtlb_mode */
#define SOFTTLB_WORDS (SOFTTLB_MODES * SOFTTLB_ENTRIES / 64) /* one bit for each slot */

/* tag = page address | generation (low 12 bits), see softtlb.h; 0 never matches */
struct softtlb_entry {
	u64 tag_r, tag_w, tag_x;
	u64 addend; /* host address = gva + addend */
};

/* Frames in a row, in one page of 2 MiB, that translated code may write to without asking again. */
struct softtlb_run {
	u64 large;	/* linear address of the page */
	u64 first, end; /* linear */
	u64 addend;
	u64 serial; /* softtlb.serial when the frames were looked at */
	u64 window; /* bytes that were looked at */
};

struct softtlb {
	u64 gen;      /* 1..4095 */
	u64 last_gen; /* given out; what older ones tagged stays until it is overwritten */
	u64 epoch;    /* marks of before are void */
	u32 modes;    /* arrays of @e that were filled since they were cleared */
	u64 pages;    /* single pages with targets in @jumps that were forgotten */
	/* Slots that may hold a write tag; too many to list: count > the array */
	u32 writable_count;
	u16 writable[SOFTTLB_WRITABLE];
	struct softtlb_entry e[SOFTTLB_MODES][SOFTTLB_ENTRIES];
	/* By slot: the translation is one of 2 MiB; of a guest's page larger than 4 KiB. */
	u64 large[SOFTTLB_WORDS], part[SOFTTLB_WORDS];
	u64 part_pairs[64];	    /* by hashed address: pairs of @part that may have some of it */
	u64 parts_2m[16], parts_1g; /* hashed addresses of those pages */
	u64 serial;		    /* generations begun */
	u32 n_runs;
	struct softtlb_run runs[SOFTTLB_RUNS];
};

struct vp {
	struct cpu_state cpu;
	struct vmx_controls ctl;
	bool in_l2; /* runs under a vmcs12's merged controls (events: level) */
	bool vmxon; /* L1 is in VMX operation: CR0/CR4 fixed bits are enforced by the engine */

	/* --- engine, hot --- */
	u64 insns; /* retired instructions; exact at every return and in every callback */
	u64 until;
	u64 slice;    /* translated code: count at which it looks at @attn next, <= @until */
	u64 next_rip; /* slow operations: RIP after this instruction, may be overwritten */
	u32 arith;    /* flags as LAHF (bits 15:8) and SETO (bit 0) leave them in AX */
	u32 mode;     /* key of the decoding mode: VP_MODE_* */
	u32 mmu_mode; /* index into softtlb.e for explicit data accesses */
	u32 cpl;
	u64 ea_base[SEG_COUNT + 1]; /* segment bases by use: 0 for ES..DS in 64-bit mode; [8] = 0 */
	_Atomic u32 attn;	    /* VP_ATTN_* */
	struct softtlb_entry *tlb_e; /* tlb_soft.e[mmu_mode] */
	const struct op *cur; /* operation whose slow path runs: gives RIP and count of a fault */
	const struct op *completed; /* @cpu is complete for this one: op_slow() runs it; or NULL */
	struct block *cur_block;
	/* Operation of @cur_block before which it is left once, because of what the one before it
	 * did (op_stop_behind()), and its own handler; or NULL. */
	struct op *stop_at;
	void (*stop_fn)(struct vp *vp, const struct op *op);
	u64 block_insns;	  /* @insns at the start of cur_block */
	const struct op *next_op; /* builds without sibling calls: what the run loop calls next */
	const struct op
		*link_from; /* branch that left its block and wants to be chained, or NULL */
	u32 va_bits;	    /* linear-address width: 48, or 57 with CR4.LA57 */
	/* A read-modify-write that the soft TLB did not serve, see access_rmw_begin(). */
	u64 rmw_value[2], rmw_lin, rmw_gpa;
	u8 rmw_kind, rmw_size;
	bool host_watch;   /* show every data access to ops->watch */
	bool watch_stacks; /* tell ops->stack_load; engine_watch_stacks() */
	bool vec_live;	   /* the guest's vector state is in the host's registers */
	bool compared;	   /* what runs now will be undone and done again, see l0/jit/check.c */
	u8 vec_ok; /* what may run natively: VEC_SETS that passed their gates, and it is live */
	bool delivering; /* an event is being delivered: faults become double faults */

	/* --- results --- */
	struct vmexit exit;
	u32 fault_vector, fault_error;
	bool fault_has_error;
	u64 fault_cr2;
	/* Event to inject at VM entry (VP_ATTN_INJECT), VM-entry interruption-information layout.
	 */
	u32 inject_info, inject_error, inject_len;
	/* The event whose delivery is in progress, for IDT-vectoring information. */
	u32 idtv_info, idtv_error, idtv_len;

	/* --- surroundings --- */
	struct mem *mem;
	struct vtlb_vp tlb;
	const struct cpu_features *features;
	const struct vp_ops *ops;
	void *owner; /* the machine's vCPU */
	struct trace_ctx *trace;
	struct code_cache *code;
	u32 id;
	void *escape; /* to the run loop: interp.c's jump buffer, and why */
	int escape_how;
	/* event.c: what it remembers from one instruction boundary to the next */
	struct vp_event {
		u64 mark_insns, mark_rcx;   /* where the pending items below were seen first */
		bool step_armed;	    /* TF was 1 before the instruction that runs now */
		bool shadow_armed;	    /* a shadow or RF covers the instruction at */
		u64 cover_insns, cover_rcx; /* this count, and RCX: event_uncover() */
		bool intr_taken;	    /* an interrupt was delivered just before it */
		/* VP_ATTN_* that wait for RFLAGS.IF, taken out of @attn: event_release() */
		u32 held;
		bool branched; /* the last single step was a taken branch */
		bool mtf_armed,
			mtf_due;     /* the instruction after VM entry runs; exit at the boundary */
		bool iret_unblocked; /* the running IRET ended blocking by NMI */
		u64 fault_insns;     /* count at the last fault delivered, */
		u32 faults;	     /* and how many there were since without progress */
		u64 fault_dr6;	     /* bits for DR6 of a #DB in fault_vector */
		u64 ple_first, ple_last;	 /* PAUSE-loop exiting: time-stamp counter values */
		bool monitor_armed;		 /* MONITOR was executed, MWAIT not yet */
		_Atomic u8 mwait;		 /* enum vp_mwait; other threads read it */
		const u8 *monitor_line;		 /* 64 bytes; NULL: no RAM */
		u64 monitor_gpa, monitor_was[8]; /* and what they held */
		/* vtlb_guard_frame(), and mem_monitored_stores() then */
		u64 monitor_ticket, monitor_stores;
		u64 io_rip, io_rcx; /* REP INS/OUTS cut short within a counted group: where, */
		u8 io_group;	    /* and the bytes of the group that are done */
		u32 vapic_write; /* write to the virtual APIC whose effects are due, see vapic.h */
		/* count of an instruction that runs alone because it writes there */
		u64 vapic_insns;
		u64 rng; /* RDRAND and RDSEED; 0: seeded from the VP's number */
	} ev;

	/* x87: the guest's own last instruction, operand and opcode, see vec.h */
	u64 fpu_ip, fpu_dp;
	u16 fpu_op;
	struct vec_stubs *stubs;
	const struct engine_tier *tier; /* or NULL: handlers alone */
	void *tier_data;
	u8 vec_buf[64] __attribute__((aligned(64))); /* operand that is no plain RAM in one page */

	struct pmu pmu;
	struct branches branches;
	/* at every level; the PMU's counters may want them at one level only */
	bool counts_branches;

	/* engine counters (engine.def prints them) */
	u64 n_blocks_decoded, n_blocks_retired, n_block_kills, n_code_misses, n_softtlb_miss,
		n_interrupts, n_exceptions, n_exits;

	struct softtlb tlb_soft;

	/*
	 * Translated code remembers where its accesses and jumps went under @site_key, which
	 * changes with
	 * @mode and whenever the soft TLB forgets something. Keys of generations that come back are
	 * good again when they are above @page_floor. Bits by hashed linear and host page tell what
	 * is remembered at all; the last for writing.
	 */
	u64 site_key, page_last, page_floor;
	u64 page_linear[16], page_large[16], page_host[16]; /* the second by 2 MiB */
	u64 page_gen_key[PAGE_SIZE];

	u64 jit_sp; /* the host's stack pointer where translated code was entered */
	/* of @jumps; @jump_keep: the translator's, between two instructions */
	u64 jump_key, jump_keep;
	/* one bit for each page, hashed, that @jumps has targets in; by 2 MiB */
	u64 jump_pages[16], jump_large[16];
	struct jump_slot jumps[VP_JUMPS];
};

#define VP_MODE_16 0x00u /* code size of CS: 16-bit */
#define VP_MODE_32 0x01u
#define VP_MODE_64 0x02u
#define VP_MODE_SIZE 0x03u
#define VP_MODE_SS32 0x04u /* stack size (SS.B); 64-bit mode ignores it */
#define VP_MODE_CPL3 0x08u
#define VP_MODE_REAL 0x10u /* CR0.PE = 0 */
#define VP_MODE_V86 0x20u
#define VP_MODE_FLAT \
	0x40u /* ES, CS, SS, DS: base 0, limit 4 GiB - 1, usable, writable data: no checks */
#define VP_MODE_LMA 0x80u
#define VP_MODE_AC 0x100u     /* alignment checking active (CR0.AM, RFLAGS.AC, CPL 3) */
#define VP_MODE_CSFLAT 0x200u /* CS limit is 4 GiB - 1 (or 64-bit mode): no fetch limit checks */
#define VP_MODE_ONE 0x400u    /* key of blocks of one instruction; never set in @mode itself */
#define VP_MODE_PLAIN \
	0x800u /* key of blocks that vp->tier leaves alone; in @mode only while it says so */
#define VP_MODE_STACKS \
	0x1000u /* loads of RSP are told (watch_stacks): op_watch.c picks their handlers */
#define VP_MODE_BRANCHES 0x2000u /* branches are counted: op_branch.c */
#define VP_MODE_START 0x4000u	 /* of a block_start(); never set in @mode itself */
#define VP_MODE_END 0x8000u

/*
 * What the processor model offers to the engine: decides #UD, #GP and reserved bits. Filled from
 * the model's CPUID by l0/exit (cpu_features_fill()).
 */
struct cpu_features {
	u64 cr4_valid; /* CR4 bits that may be 1 */
	u64 efer_valid;
	u64 xcr0_valid;
	u64 cr0_fixed0, cr0_fixed1, cr4_fixed0, cr4_fixed1; /* in VMX operation */
	u32 maxphyaddr, linaddr_bits;
	bool has_syscall, has_nx, has_1g, has_pcid, has_invpcid, has_rdtscp, has_fsgsbase, has_smep,
		has_smap, has_umip, has_rdrand, has_rdseed, has_xsave, has_avx, has_avx2, has_bmi1,
		has_bmi2, has_lzcnt, has_popcnt, has_movbe, has_adx, has_aes, has_pclmul, has_sha,
		has_sse3, has_ssse3, has_sse41, has_sse42, has_cx16, has_vmx, has_monitor,
		has_clflushopt, has_rdpid, has_fma, has_f16c, has_pku, has_xgetbv1, has_xsaves;
};

#define JUMP_KEY_MODE 0xfffu /* bits 23:12 */

/* Marks of pages, one bit each, hashed. For marks by 2 MiB: of vp_mark_2m(addr). */
static inline void vp_mark(u64 *marks, u64 addr)
{
	marks[addr >> (PAGE_SHIFT + 6) & 15] |= 1ull << (addr >> PAGE_SHIFT & 63);
}

static inline u64 vp_mark_2m(u64 addr)
{
	return addr >> (21 - PAGE_SHIFT);
}

/* Translated code goes straight to @rip: when that page's translation is forgotten, keys change. */
static inline void vp_jump_mark(struct vp *vp, u64 rip)
{
	vp_mark(vp->jump_pages, rip);
	vp_mark(vp->jump_large, vp_mark_2m(rip));
}

static inline void vp_jump_key_update(struct vp *vp)
{
	const struct softtlb *t = &vp->tlb_soft;

	vp->jump_key = t->gen | (u64)vp->mode << 12 | (t->epoch + t->pages) << 32;
}

/* Bits of EFER that may be 1: IA32_MISC_ENABLE can take execute-disable away. */
static inline u64 vp_efer_valid(const struct vp *vp)
{
	return vp->features->efer_valid &
	       ~(vp->cpu.misc_enable & MISC_ENABLE_XD_DISABLE ? EFER_NXE : 0);
}

/* Any thread. Makes engine_run() look up within a block. */
static inline void vp_request(struct vp *vp, u32 attn)
{
	__atomic_fetch_or(&vp->attn, attn, __ATOMIC_SEQ_CST);
}
/* VP_ATTN_NMI_AGAIN is there with VP_ATTN_NMI only, whoever is quicker. */
static inline void vp_request_nmi(struct vp *vp)
{
	u32 was = __atomic_load_n(&vp->attn, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(
		&vp->attn, &was, was | (was & VP_ATTN_NMI ? VP_ATTN_NMI_AGAIN : VP_ATTN_NMI), false,
		__ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}
/* One NMI is taken. */
static inline void vp_take_nmi(struct vp *vp)
{
	u32 was = __atomic_load_n(&vp->attn, __ATOMIC_RELAXED);

	while (!__atomic_compare_exchange_n(
		&vp->attn, &was, was & ~(was & VP_ATTN_NMI_AGAIN ? VP_ATTN_NMI_AGAIN : VP_ATTN_NMI),
		false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}
static inline void vp_request_clear(struct vp *vp, u32 attn)
{
	__atomic_fetch_and(&vp->attn, ~attn, __ATOMIC_SEQ_CST);
}

/* Vector state: to memory (@cpu.vec) before anything that may use the host's vector registers. */
void vp_vec_park_slow(struct vp *vp);
static inline void vp_vec_park(struct vp *vp)
{
	if (vp->vec_live)
		vp_vec_park_slow(vp);
}

#endif
