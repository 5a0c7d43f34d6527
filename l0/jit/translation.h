/*
 * One translation in progress: shared by the instructions (translate.c), their memory operands
 * (operand.c) and what joins blocks and handlers (flow.c).
 *
 * In translated code rdi is the VP and r15 what is left to count: slice - (instructions before the
 * block) - (instructions of the block). eax holds the guest's flags as vp->arith does whenever they
 * are needed and not in the host's flags; rcx and rdx are scratch. Ten guest registers live in host
 * registers across all blocks, the others in vp->cpu.
 */
#ifndef L0_JIT_TRANSLATION_H
#define L0_JIT_TRANSLATION_H

#include "l0/engine/exec.h"
#include "l0/jit/arena.h"
#include "l0/jit/emit.h"
#include "l0/jit/range.h"
#include "l0/jit/select.h"

#define VP_OFF(m) ((s32) __builtin_offsetof(struct vp, m))
#define COLD_MAX (BLOCK_MAX_OPS * 6)
#define H_COUNT 15u
#define CC_B 2u
#define CC_AE 3u
#define CC_E 4u
#define CC_NE 5u
#define CC_BE 6u
#define CC_A 7u
#define CC_S 8u
#define CC_L 12u
#define CC_GE 13u

enum cold_kind {
	COLD_SITE,
	COLD_EDGE,
	COLD_EDGE_STUB,
	COLD_REFUSE,
	COLD_PAGE,
	COLD_TRAP,
	COLD_KEYS,
	COLD_FIND,
	COLD_RETURN
};

/*
 * How the flags can be had again from registers that still hold what they held, so that they need
 * not be
 * saved: for most operations they are, only whatever leaves looks at them.
 */
struct recipe {
	u8 kind, size;
	u8 a, b; /* guest registers; b = OP_NO_REG: imm */
	u64 imm;
};

enum recipe_kind {
	RECIPE_NONE,
	RECIPE_CMP,
	RECIPE_TEST, /* also of AND, OR, XOR: a is the result */
	RECIPE_ADD,  /* a is the sum, */
	RECIPE_SUB,  /* the difference */
};

struct cold {
	u8 kind, k;
	bool eax, host; /* where flags are; neither: by @recipe */
	struct recipe recipe;
	u32 at;
	struct jit_edge *edge;
	struct page_miss *miss;
	u32 trap;
	u32 back;     /* COLD_FIND: where it goes on; */
	bool old_key; /* the target is known under another key */
};

/* An access to another page than the last: out of line. */
struct page_miss {
	struct address {
		u32 base, index; /* guest registers, OP_NO_REG: none */
		u32 scale, asize;
		u64 disp;
		u32 seg; /* SEG_FS, SEG_GS: its base is added */
		/* BT m, r: what bit number @bit_reg reaches is added, in operands of @bit_size
		 * bytes; 0: no */
		u32 bit_reg, bit_size;
	} a;
	struct jit_page *page;
	bool range;
	bool write, add; /* rdx is the address, or gets the addend alone */
	u32 back;
};

/* A range that was looked up. */
struct known_range {
	struct jit_page *page; /* or NULL */
	struct range_place begin;
};

/* What entries behind handlers look up again: range @id, whose begin is at @a there. */
struct range_again {
	u8 k, id;
	struct address a;
};
#define AGAIN_MAX 64u

enum rdx_holds { RDX_NOTHING, RDX_ADDEND, RDX_BEGIN };
struct held {
	u8 id, what; /* rdx: range @id's addend, or host address of its begin */
};

struct translation {
	struct emit e;
	struct vp *vp;
	struct jit *tier;
	struct block *b;
	u64 exec;		  /* address of e.base in the executable mapping */
	u32 data_begin, data_end; /* its records */
	struct jit_edge *edges;
	u32 n_moved;
	u16 moved[JIT_BLOCK_MAX_DATA / 8]; /* words of the records that hold addresses */
	struct jit_keys *keys;		   /* or NULL: no memory operands */
	u32 n_pages;
	struct jit_op j[BLOCK_MAX_OPS];
	op_fn handler[BLOCK_MAX_OPS + 1];
	struct jit_site *site[BLOCK_MAX_OPS + 1];
	/* on the straight path */
	bool in_host, in_eax;
	struct recipe recipe;
	u32 label[BLOCK_MAX_OPS];
	/* entries behind handlers */
	bool entry[BLOCK_MAX_OPS + 2], entry_host[BLOCK_MAX_OPS], entry_eax[BLOCK_MAX_OPS];
	/* vector operations: what was looked at on the straight path, and where it counts on it */
	u32 loop_top; /* behind what every entry looks at */
	/* A loop of one block has its body twice: the second is entered with flags by recipe. */
	bool again;
	struct recipe loop_recipe;
	u32 n_loops, loop_at[4];
	u8 loop_vec;
	u32 again_top;
	u8 vec_ok, entry_vec[BLOCK_MAX_OPS];
	struct jit_trap *traps; /* of the region */
	u32 n_traps, max_traps;
	u32 n_cold;
	struct cold cold[COLD_MAX];
	struct range_values values;		 /* on the straight path */
	struct known_range range[RANGE_MAX + 1]; /* by id */
	struct held held, entry_held[BLOCK_MAX_OPS];
	struct range_again again_at[AGAIN_MAX];
	u32 n_again;
	u32 n_miss, n_access;
	struct page_miss miss[BLOCK_MAX_OPS * 2];
};

/* Where the host finds an operand: [base + index + disp]; index < 0: none. */
struct operand {
	u8 base;
	int index;
	s32 disp;
};

/* ---- registers ---- */

extern const s8 jit_host[GPR_COUNT]; /* by guest register; < 0: in memory */

static inline s32 gpr_off(u32 r)
{
	return VP_OFF(cpu.gpr) + 8 * (s32)r;
}

static inline bool is_pinned(u32 r)
{
	return jit_host[r] >= 0;
}

/* The host register that holds guest register @r: @scratch is loaded when none does. */
static inline u32 reg_in(struct translation *t, u32 r, u32 scratch)
{
	if (is_pinned(r))
		return (u32)jit_host[r];
	emit_rm(&t->e, 8, 0x8b, scratch, H_RDI, gpr_off(r));
	if (scratch == H_RDX)
		t->held.what = RDX_NOTHING;
	return scratch;
}

/* The one to write all of @r to; reg_done() follows. */
static inline u32 reg_out(u32 r, u32 scratch)
{
	return is_pinned(r) ? (u32)jit_host[r] : scratch;
}

static inline void reg_done(struct translation *t, u32 r, u32 h)
{
	if (!is_pinned(r))
		emit_rm(&t->e, 8, 0x89, h, H_RDI, gpr_off(r));
}

/* ---- flags ---- */

static inline void take_flags(struct emit *e)
{
	emit1(e, 0x9f);		/* lahf */
	emit_n(e, 0xc0900f, 3); /* seto al */
}

/* The flags to the host's flags; uses rcx. */
void recipe_emit(struct emit *e, const struct recipe *r);
/* What @r needs of registers, as bits. */
u32 recipe_regs(const struct recipe *r);

static inline void want_eax(struct translation *t)
{
	if (t->in_eax)
		return;
	if (!t->in_host && t->recipe.kind) {
		recipe_emit(&t->e, &t->recipe);
		t->in_host = true;
	}
	if (t->in_host) {
		take_flags(&t->e);
		t->in_eax = true;
	}
}

/* al is 0 or 1: the addition overflows or not, and can be undone without flags. */
static inline void put_flags(struct emit *e)
{
	emit_n(e, 0x9e7f04, 3); /* add al, 7f; sahf */
	emit_n(e, 0x81408d, 3); /* lea eax, [rax - 7f] */
}

static inline void want_host(struct translation *t)
{
	if (t->in_host)
		return;
	if (t->recipe.kind)
		recipe_emit(&t->e, &t->recipe);
	else if (t->in_eax)
		put_flags(&t->e);
	else
		return;
	t->in_host = true;
}

/* The host's flags are about to be destroyed. */
static inline void lose_host(struct translation *t)
{
	if (!t->recipe.kind)
		want_eax(t);
	t->in_host = false;
}

/* ---- translate.c ---- */

static inline u32 wide(u32 size)
{
	return size > 1;
}

static inline u32 imm_bytes(u32 size)
{
	return size > 4 ? 4 : size;
}

/* Before an instruction that works on flags, and after it. */
void flags_before(struct translation *t, const struct jit_op *o);
void flags_after(struct translation *t, const struct jit_op *o);
/* op reg, guest register @r: from its host register or from memory. */
void emit_from(struct translation *t, u32 size, u32 opc, u32 reg, u32 r);

/* In front of an instruction with a memory operand. */
static inline void emit_lock(struct translation *t, const struct jit_op *o)
{
	if (o->lock)
		emit1(&t->e, 0xf0);
}

/* The groups that have a file each. */
void muldiv_emit(struct translation *t, u32 k);
void bits_emit(struct translation *t, u32 k);
void atomic_emit(struct translation *t, u32 k);
void vector_emit(struct translation *t, u32 k);
void flagop_emit(struct translation *t, u32 k);
void string_emit(struct translation *t, u32 k);
/* An operation with AH, CH, DH or BH, of a kind that others have a file for. */
void high_emit(struct translation *t, u32 k);

/* ---- operand.c ---- */

/* Find the memory operand of operation @k, or leave to its handler. Flags are in eax after it. */
struct operand operand_find(struct translation *t, u32 k, u32 size, bool write);
/* rdx := its offset in the segment. */
void operand_offset(struct translation *t, u32 k);
/* The same as operand_find() for a stack access at guest register @r + @disp. */
struct operand operand_stack(struct translation *t, u32 k, u32 r, s32 disp, u32 size, bool write);
/* The same for @bytes at guest register @r, in 64-bit code. */
struct operand operand_run(struct translation *t, u32 k, u32 r, u32 bytes, bool write);
/* Before operation @k: does its entry have to look up ranges again? May give the entry up. */
void operand_note_entry(struct translation *t, u32 k);
/* In that entry. Return: how many jumps are to be patched, at @fail[], to what runs the handler. */
u32 operand_entry(struct translation *t, u32 k, u32 *fail);
/* The out-of-line part; its code fails to COLD_SITE of @k. */
void operand_miss(struct translation *t, u32 k, const struct page_miss *m);
/* Free rcx when the operand uses it. */
void operand_free_rcx(struct translation *t, struct operand *m);

static inline void emit_opnd(struct translation *t, u32 size, u32 opc, u32 reg,
			     const struct operand *m)
{
	emit_mem(&t->e, size, opc, reg, m->base, m->index, m->disp);
}

/* ---- flow.c ---- */

/*
 * A record of translated code behind the others; its first @addresses words are addresses of the
 * block, its operations, code or other records, or NULL. What it holds when the translation ends is
 * what it begins as for every processor, with these made the processor's own (share.c): so it holds
 * nothing else that belongs to one processor.
 */
void *new_record(struct translation *t, u32 bytes, u32 addresses);

void add_cold(struct translation *t, u32 kind, u32 k, u32 at, struct jit_edge *edge);
/* The instruction that follows may trap; its handler does it then. */
void add_trap(struct translation *t, u32 k);
void add_cold_page(struct translation *t, u32 k, u32 at, struct page_miss *m);
/* An operation whose handler does it. */
void flow_handler(struct translation *t, u32 k);
/* The block's start: count, and is vp->site_key the one under which the block remembers pages? */
void flow_begin(struct translation *t);
/* Begin the second body of a loop of one block. */
void flow_again(struct translation *t);
/* Its end, when the last operation does not leave. */
void flow_end(struct translation *t);
/* A direct jump of operation @k on condition @cc. */
void flow_jcc(struct translation *t, u32 k, u32 cc);
void flow_jmp(struct translation *t, u32 k);
/* rdx: target. When its code is known, rcx is its place in vp->jumps, else operation @k's handler
 * does it all. flow_jump() goes there. */
void flow_find(struct translation *t, u32 k);
void flow_jump(struct translation *t, u32 digit); /* 4: jump, 2: call */
/* A jump or call (@digit 4, 2) through a new edge from operation @k. */
struct jit_edge *flow_new_edge(struct translation *t, u32 k, u32 count, u64 target, u32 digit);
/* Can @target be reached by an edge, so that no flow_find() is needed? */
bool flow_is_near(const struct translation *t, u64 target);
/* rdx := its target. */
void flow_far_target(struct translation *t, u64 target);
void flow_edge(struct translation *t, u32 k, u32 count, u64 target);

/* ---- call.c: the return-address stack ---- */

/* Does call @k leave its place for the return? */
bool call_has_return(const struct translation *t, u32 k);
/* The direct call @k, whose return address is pushed, to @target, which is near. */
void call_edge(struct translation *t, u32 k, u64 target);
/* flow_jump() of an indirect call @k. */
void call_jump(struct translation *t, u32 k);
/* rdx: the return address that operation @k has read. */
void call_return(struct translation *t, u32 k);
/* Out of line: it is another than that of the last call. */
void call_mismatch(struct translation *t, u32 k);
/* All that is out of line; entries[k]: position of the entry before operation @k, or 0. */
void flow_finish(struct translation *t, u32 *entries);

#endif
