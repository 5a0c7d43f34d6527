/*
 * The virtual TLB: translations of every level in one look-up (gva → machine RAM), kept in shadow
 * page tables (SPT) that belong to shadow address spaces (SAS), shared by the virtual processors of
 * a machine. It sits behind the engine's soft TLB and in front of the walks of the guest's tables
 * and of ept12. Guest tables are read, and accessed/dirty bits set, atomically.
 *
 * The engine calls vtlb_translate() on a soft-TLB miss, the invalidation functions when an
 * instruction asks, vtlb_safe_point() at instruction boundaries after a request. It never raises a
 * fault itself: it returns one, always from a fresh walk, never from a cached entry.
 * Built -mgeneral-regs-only.
 */
#ifndef VTLB_VTLB_H
#define VTLB_VTLB_H

#include "l0/base/counter.h"
#include "l0/base/types.h"

struct vtlb; /* one per machine */
struct mem;
struct mem_region;
struct trace_ctx;

/* Access kind. */
#define VTLB_READ 0x01u
#define VTLB_WRITE 0x02u
#define VTLB_EXEC 0x04u
#define VTLB_USER 0x08u	  /* CPL 3 explicit access */
#define VTLB_AC 0x10u	  /* explicit supervisor data access with RFLAGS.AC = 1 (SMAP override) */
#define VTLB_SYSTEM 0x20u /* implicit supervisor access: descriptor tables, TSS, IDT */
#define VTLB_ACCESS_MASK 0x07u

/* The paging context of a VP: everything a walk depends on but the CPL. */
struct vtlb_context {
	u64 cr0, cr3, cr4, efer;
	u64 pdpte[4]; /* used when PAE paging is on (CR4.PAE, not LMA) */
	u64 eptp;     /* 0: guest physical addresses are machine addresses */
	u16 vpid;
	u32 pkru;
	bool mbec;	 /* mode-based execute control for EPT */
	u64 pml_address; /* page-modification log of 512 entries, written downwards */
	u16 *pml_index;	 /* NULL: no log. Used only by this VP's own walks */
};

/* Who is processed by the engine right now for one VP. Embedded in struct vp; opaque to it. */
struct vtlb_vp {
	struct vtlb *vtlb;
	u32 id; /* index in the machine */
	struct vtlb_context ctx;
	void *sas; /* current shadow address space */
	_Atomic u64 seen;
	u64 floor;
	_Atomic bool offline; /* no worker runs it: counts as passed */
	_Atomic bool writing; /* it is about to write to a guarded frame, see vtlb_write_done() */
	/* the engine's own soft TLB, told to forget */
	void (*flush_soft)(void *owner);
	/* The page at @gva, whatever its size (vtlb_xl.page_shift); what is not current
	 * included. */
	void (*flush_soft_page)(void *owner, u64 gva);
	void (*drop_soft_writes)(void *owner, const u8 *hva); /* write tags of one frame; or NULL */
	/* Or NULL, both: name what the soft TLB holds now, to come back to it after a flush_soft();
	 * back to it, or false: it is gone, and nothing is held now (as after flush_soft()).
	 * Between the two drop_soft_writes() must reach what is not current, too. */
	u64 (*soft_mark)(void *owner);
	bool (*soft_return)(void *owner, u64 mark);
	/* ask the VP to pass an instruction boundary soon (any thread) */
	void (*request)(void *owner);
	/* Or NULL: RIP of the instruction that is being executed, for the detector's report. */
	u64 (*where)(void *owner);
	void *owner;
	struct trace_ctx *trace;
	struct vtlb_vp_priv *priv;
	u64 n_translate, n_hit, n_fill, n_refill, n_walk, n_fault, n_inval, n_flush, n_pass;
};

enum vtlb_status {
	VTLB_OK,	    /* xl->hva valid: RAM */
	VTLB_MMIO,	    /* no RAM there: xl->gpa goes to mem_mmio_read/write */
	VTLB_PAGE_FAULT,    /* fault->error_code, gva → CR2 by the caller */
	VTLB_EPT_VIOLATION, /* fault->qualification, gla, gpa */
	VTLB_EPT_MISCONFIG, /* fault->gpa */
	VTLB_PML_FULL,	    /* a dirty bit to set, and no room in the log: nothing was done */
};

#define VTLB_NO_GPA (~0ull)

struct vtlb_xl {
	u64 gpa;       /* L1 (machine) physical address of the byte at gva */
	u64 guest_gpa; /* the running guest's own physical address (= gpa when eptp is 0);
			  VTLB_NO_GPA when eptp is not 0 and a cached translation was used */
	u8 *hva;       /* host address of that byte, VTLB_OK only */
	u32 prot;      /* accesses of this privilege that the soft TLB may cache for the 4 KiB page
			  without another call: VTLB_READ/WRITE/EXEC. WRITE only when D is set already
			  and the frame has no MEM_FRAME_* flag; EXEC as the tables say. */
	u64 bytes; /* size of the translation: 4 KiB, or 2 MiB where the guest's page, ept12's page
		      and RAM are all at least that large */
	u32 page_shift; /* of the guest's own page, 12, 21 or 30 (4 MiB: 30): an invalidation of any
			   address in it is one of this piece, too */
	bool global;
};

struct vtlb_fault {
	u32 error_code;
	u64 qualification;
	u64 gla, gpa;
	bool suppress_ve; /* EPT violation: bit 63 of the ept12 entry that ended the walk */
};

struct vtlb_stale_report; /* stale.h */

struct vtlb_config {
	u64 max_bytes; /* hard limit of SPT memory */
	u32 max_vps;
	u32 maxphyaddr;	   /* of the processor model */
	bool has_1g_pages; /* in guest page tables */
	u64 ept_caps;	   /* IA32_VMX_EPT_VPID_CAP: page sizes, execute-only, A/D (EPT_CAP_*) */
	int mode;	   /* enum vtlb_mode */
	bool audit;	   /* walk again at every hit, count what differs (vtlb_stats) */
	bool detect_stale; /* report translations used that the guest forgot to invalidate */
	bool retain;	   /* track page tables, keep translations over MOV CR3 */
	bool share;	   /* kernel halves that are mapped alike: SPTs shared at one level */
	bool one_thread;   /* all VPs take turns on one thread, at instruction boundaries */
	bool one_lock;	   /* contrast build: one lock around every translation */
	/* contrast: in-fill counters, invalidations wait for fills; no retention */
	bool odd_even;
	/* walks of a VP between two steps of the periodic pass; 0: no such pass */
	u32 refresh_walks;
	/* memory nodes to simulate, up to VTLB_NODES_MAX; 0: those of the host */
	u32 nodes;
	u64 seed;
	/* For the detector; or NULL. Who runs on this thread, NULL: nobody; take a report. */
	struct vtlb_vp *(*self)(void *arg);
	void (*stale)(void *arg, const struct vtlb_stale_report *r);
	void *arg;
};

#define VTLB_NODES_MAX 16u
#define VTLB_REFRESH_WALKS 256u /* usual value of refresh_walks */

/* Bits of a list of parts to leave out, see parts.def. */
enum vtlb_part {
#define PART(id, name, text) VTLB_PART_##id,
#include "vtlb/parts.def"
#undef PART
	VTLB_PARTS
};
/* "retention,refresh" → bits. Return: NULL, or the name that is no part. */
const char *vtlb_parse_parts(const char *list, u32 *bits);

enum vtlb_mode {
	VTLB_NORMAL,
	VTLB_ADVERSARIAL, /* each VP keeps what it used until it invalidates it, or drops it at
			     random, seeded */
	VTLB_STRICT,	  /* none is used, here or in the soft TLB */
};

/* Counters of the machine, by vtlb_counters.def; those of a VP are in struct vtlb_vp. */
struct vtlb_stats {
#define VP(name, member, text)
#define T(name, text) u64 name;
#include "l0/arch/vtlb_counters.def"
#undef VP
#undef T
};

struct vtlb *vtlb_create(struct mem *mem, const struct vtlb_config *cfg, int *err);
void vtlb_destroy(struct vtlb *t);
int vtlb_vp_init(struct vtlb *t, struct vtlb_vp *v, u32 id);
void vtlb_vp_fini(struct vtlb_vp *v);

/*
 * vtlb_set_context - the VP's paging state changed (CR0/CR3/CR4/EFER/EPTP/VPID/PKRU, VM
 * entry/exit). Selects the SAS; flushes nothing by itself except the soft TLB when the SAS or a
 * permission- relevant bit changed, and not even that when the VP comes back to a context of a
 * moment ago. The architectural flush that goes with the change is a call below, made after this
 * one.
 */
void vtlb_set_context(struct vtlb_vp *v, const struct vtlb_context *ctx);

/* Translate one byte's page at @gva for @access. Sets A (and D for a write) in the guest's tables.
 */
enum vtlb_status vtlb_translate(struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
				struct vtlb_fault *f);

/* May a soft TLB keep a write tag of the frame at @hva, in RAM, whose translation allows writing
 * and has D set? What takes that back is the same as for vtlb_xl.prot. */
bool vtlb_grant_write(struct vtlb_vp *v, const u8 *hva);

/* The running guest's physical address (through ept12 when in use), for PDPTE loads and the like.
 */
enum vtlb_status vtlb_translate_gpa(struct vtlb_vp *v, u64 guest_gpa, u32 access,
				    struct vtlb_xl *xl, struct vtlb_fault *f);

/* Reference walk: no cache, no A/D update, for debuggers, dumps and the audit. */
enum vtlb_status vtlb_peek(const struct vtlb_vp *v, u64 gva, u32 access, struct vtlb_xl *xl,
			   struct vtlb_fault *f);

/* Invalidation, SDM 3A "Invalidation of TLBs and Paging-Structure Caches", 3C "Caching Translation
 * Information". */
void vtlb_invlpg(struct vtlb_vp *v, u64 gva);
void vtlb_cr3_load(
	struct vtlb_vp *v, u64 old_cr3,
	bool no_flush); /* MOV CR3: non-global of the (new) PCID; after vtlb_set_context() */
void vtlb_flush(struct vtlb_vp *v, bool global); /* CR0.PG, CR4.PGE/PSE/PAE/PCIDE/SMEP writes */
void vtlb_invpcid(struct vtlb_vp *v, u32 type, u16 pcid, u64 gva);
void vtlb_invvpid(struct vtlb_vp *v, u32 type, u16 vpid, u64 gva);
void vtlb_invept(struct vtlb_vp *v, u32 type, u64 eptp);
void vtlb_flush_vpid(struct vtlb_vp *v, u16 vpid); /* VM entry/exit without VPID */
/* L0 itself changed what physical memory is (a BAR moved, RAM remapped): all VPs. */
void vtlb_memory_changed(struct vtlb *t);

/*
 * vtlb_protect_frame - the decoder marked code in a frame (mem_mark_code() said first): take away
 * the write tags that soft TLBs may hold of it
 * @gpa: machine physical address of the frame, in RAM
 *
 * On return @self holds no write tag of the frame. Other VPs give theirs up at their next safe
 * point; until then a store of theirs can go unnoticed, so the code read meanwhile is provisional:
 * once all have passed, the frame's code_gen moves on by itself and whatever was decoded is decoded
 * again. (x86 lets a processor see another's code changes that late: it has to serialise first.)
 * Return: true; false when too many frames are waiting: do not keep the block that is being
 * decoded.
 */
bool vtlb_protect_frame(struct vtlb_vp *self, u64 gpa);
/*
 * vtlb_guard_frame - take away the write tags of a frame whose mark (MEM_FRAME_MONITORED) has just
 * been set
 * Return: a ticket; when vtlb_guard_passed() says so, and while the mark stands, nobody writes to
 * it without mem_note_write().
 */
u64 vtlb_guard_frame(struct vtlb_vp *self, u64 gpa);
bool vtlb_guard_passed(const struct vtlb_vp *self, u64 ticket);

/*
 * The VP wrote by a translation that had no VTLB_WRITE in xl->prot, and mem_note_write() was told:
 * its store and what follows from it are one for other VPs from now on. When it is not called, as
 * after a fault, others merely keep less over their MOV CR3 until the VP's next safe point.
 */
static inline void vtlb_write_done(struct vtlb_vp *v)
{
	if (unlikely(__atomic_load_n((bool *)&v->writing, __ATOMIC_RELAXED)))
		__atomic_store_n((bool *)&v->writing, false, __ATOMIC_RELEASE);
}

/*
 * vtlb_audit - check every structure inside, for tests; the VPs stand still
 * Cost: all of memory that SPTs use. Return: NULL, or the first rule that does not hold, in words.
 */
const char *vtlb_audit(struct vtlb *t);

void vtlb_get_stats(struct vtlb *t, struct vtlb_stats *s);

/* Hand every counter of vtlb_counters.def to @add, those of VPs as sums. The VPs stand still. */
void vtlb_each_counter(struct vtlb *t, counter_fn *add, void *arg);

/* Emit the counters as events, for @ctx: of one VP, and of its machine. Any thread. */
void vtlb_emit_stats(const struct vtlb_vp *v, struct trace_ctx *ctx);
void vtlb_emit_machine(struct vtlb *t, struct trace_ctx *ctx);

/*
 * Grace: a VP that runs passes a safe point soon after request() was called for it; one that no
 * worker runs is offline, holds nothing and counts as passed. A VP starts online.
 */
void vtlb_safe_point(struct vtlb_vp *v);
void vtlb_offline(struct vtlb_vp *v); /* the VP leaves its worker */
void vtlb_online(struct vtlb_vp *v);

#endif
