/*
 * What joins translated blocks with each other, with handlers and with the run loop.
 *
 * Wherever a handler takes over, registers, flags, block and count are stored and the handler of
 * that very operation runs, from before it; it goes on to op[1].fn, which is an entry behind it in
 * this code. So faults are precise without tables from host code back to operations.
 *
 * Attention is looked at where a handler comes back (r15 is made negative then, so that the next
 * block refuses) and at the end of each slice of a few thousand instructions. Blocks whose code was
 * overwritten are taken out of all jumps before anything else runs: that is attention, too.
 */
#include "l0/jit/translation.h"

#define SITE_OFF(m) ((s32) __builtin_offsetof(struct jit_site, m))
#define LOOP_MAX_OPS 24u /* whose body is there twice */
#define JUMP_OFF(m) (VP_OFF(jumps) + (s32) __builtin_offsetof(struct jump_slot, m))

const s8 jit_host[GPR_COUNT] = {
	[RAX] = H_R8,  [RCX] = H_R9, [RDX] = 10, [RBX] = H_RBX, [RSP] = 14, [RBP] = H_RBP,
	[RSI] = H_RSI, [RDI] = 11,   [8] = 12,	 [9] = 13,	[10] = -1,  [11] = -1,
	[12] = -1,     [13] = -1,    [14] = -1,	 [15] = -1,
};

static void emit_regs(struct emit *e, u32 opc)
{
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (is_pinned(r))
			emit_rm(e, 8, opc, (u32)jit_host[r], H_RDI, gpr_off(r));
}

static void emit_store_flags(struct emit *e)
{
	emit_rr(e, 4, 0x0fb7, H_RAX, H_RAX);
	emit_rm(e, 4, 0x89, H_RAX, H_RDI, VP_OFF(arith));
}

static void emit_jump_abs(struct emit *e, u64 fn)
{
	emit_mov_imm(e, H_RAX, fn);
	emit_n(e, 0xe0ff, 2);
}

/* ---- shared code ---- */

static u64 stub_begin(const struct emit *e, u64 exec)
{
	return exec + emit_pos(e);
}

/* Calls that have not returned are on the host's stack (call.c): forget them. */
static void emit_drop_calls(struct emit *e)
{
	emit_rm(e, 8, 0x8b, H_RSP, H_RDI, VP_OFF(jit_sp));
}

/* rdx: site. All to memory as its handler wants it; rsi = op. Called. */
static void make_store(struct emit *e)
{
	emit1(e, 0x59); /* pop rcx */
	emit_drop_calls(e);
	emit1(e, 0x51);
	emit_regs(e, 0x89);
	emit_store_flags(e);
	emit_rm(e, 8, 0x8b, H_RCX, H_RDX, SITE_OFF(b));
	emit_rm(e, 8, 0x89, H_RCX, H_RDI, VP_OFF(cur_block));
	emit_rr(e, 8, 0x89, H_COUNT, H_RSI);
	emit_n(e, 0x02e6c148, 4); /* shl rsi, 2 */
	emit_n(e, 0x02eec148, 4); /* shr rsi, 2 */
	emit_rm(e, 8, 0x03, H_RSI, H_RCX, (s32) __builtin_offsetof(struct block, n));
	emit_rm(e, 8, 0x8b, H_RAX, H_RDI, VP_OFF(slice));
	emit_rr(e, 8, 0x29, H_RSI, H_RAX);
	emit_rm(e, 8, 0x89, H_RAX, H_RDI, VP_OFF(block_insns));
	emit_rm(e, 8, 0x8b, H_RSI, H_RDX, SITE_OFF(op));
	emit1(e, 0xc3);
}

/* ecx: instructions of the block that goes on, or begins. Called. */
static void make_load(struct emit *e, u64 exec, u64 bottom)
{
	u32 due;

	emit1(e, 0x58); /* pop rax */
	emit_rm(e, 8, 0x89, H_RSP, H_RDI, VP_OFF(jit_sp));
	emit_n(e, 0x006a, 2); /* push 0 */
	emit_rip(e, 8, 0x8d, H_RDX, bottom, exec, 0);
	emit1(e, 0x52); /* push rdx */
	emit1(e, 0x50);
	emit_rm(e, 8, 0x8b, H_RDX, H_RDI, VP_OFF(block_insns));
	emit_rm(e, 8, 0x8d, H_COUNT, H_RDX, JIT_SLICE);
	emit_rm(e, 8, 0x3b, H_COUNT, H_RDI, VP_OFF(until));
	emit_rm(e, 8, 0x0f40 | CC_A, H_COUNT, H_RDI, VP_OFF(until));
	emit_rm(e, 8, 0x89, H_COUNT, H_RDI, VP_OFF(slice));
	emit_rr(e, 8, 0x29, H_RDX, H_COUNT);
	emit_rr(e, 8, 0x29, H_RCX, H_COUNT);
	emit_rm(e, 4, 0x83, 7, H_RDI, VP_OFF(attn));
	emit1(e, 0);
	due = emit_jcc(e, CC_NE);
	emit_regs(e, 0x8b);
	emit_rm(e, 4, 0x8b, H_RAX, H_RDI, VP_OFF(arith));
	emit1(e, 0xc3);
	emit_patch(e, due, emit_pos(e));
	emit_mov_imm(e, H_RCX, 1ull << 62);
	emit_rr(e, 8, 0x29, H_RCX, H_COUNT);
	emit_regs(e, 0x8b);
	emit_rm(e, 4, 0x8b, H_RAX, H_RDI, VP_OFF(arith));
	emit1(e, 0xc3);
}

/* rdx: record; to fn(vp, record, r15). */
static void make_exit(struct emit *e, u64 fn)
{
	emit_drop_calls(e);
	emit_regs(e, 0x89);
	emit_store_flags(e);
	emit_rr(e, 8, 0x89, H_RDX, H_RSI);
	emit_rr(e, 8, 0x89, H_COUNT, H_RDX);
	emit_jump_abs(e, fn);
}

void jit_make_stubs(struct jit *j, struct emit *e)
{
	u64 exec = (u64)j->exec;

	j->stub.store = stub_begin(e, exec);
	make_store(e);
	j->stub.site = stub_begin(e, exec);
	emit_to(e, 0xe8, j->stub.store, exec);
	emit_rm(e, 4, 0xff, 4, H_RDX, SITE_OFF(handler));
	j->stub.bottom = stub_begin(e, exec);
	make_exit(e, (u64)jit_returned);
	j->stub.load = stub_begin(e, exec);
	make_load(e, exec, j->stub.bottom);
	j->stub.edge = stub_begin(e, exec);
	make_exit(e, (u64)jit_edge_taken);
	j->stub.refuse = stub_begin(e, exec);
	make_exit(e, (u64)jit_refused);
	jit_make_page_stubs(j, e);
}

/* ---- flags ---- */

u32 recipe_regs(const struct recipe *r)
{
	return !r->kind ? 0 : 1u << r->a | (r->b == OP_NO_REG ? 0 : 1u << r->b);
}

/* @opc: of the form r, r/m */
static void recipe_op(struct emit *e, const struct recipe *r, u32 opc, u32 a)
{
	u32 wide = r->size > 1;

	if (r->b != OP_NO_REG) {
		emit_rr(e, r->size, opc | 2 | wide, a, (u32)jit_host[r->b]);
		return;
	}
	emit_rr(e, r->size, 0x80 | wide, opc >> 3, a);
	emit_n(e, r->imm, r->size > 4 ? 4 : r->size);
}

void recipe_emit(struct emit *e, const struct recipe *r)
{
	u32 a = (u32)jit_host[r->a];
	bool add = r->kind == RECIPE_ADD;

	switch (r->kind) {
	case RECIPE_CMP: recipe_op(e, r, 0x38, a); break;
	case RECIPE_TEST:
		if (r->b != OP_NO_REG) {
			emit_rr(e, r->size, 0x84 | (r->size > 1), a, (u32)jit_host[r->b]);
		} else {
			emit_rr(e, r->size, 0xf6 | (r->size > 1), 0, a);
			emit_n(e, r->imm, r->size > 4 ? 4 : r->size);
		}
		break;
	default: /* back, and again */
		emit_rr(e, 8, 0x89, a, H_RCX);
		recipe_op(e, r, add ? 0x28 : 0x00, H_RCX);
		recipe_op(e, r, add ? 0x00 : 0x28, H_RCX);
	}
}

/* ---- records ---- */

void *new_record(struct translation *t, u32 bytes, u32 addresses)
{
	void *p = t->tier->data + t->data_end;

	if (t->data_end + bytes > t->data_begin + JIT_BLOCK_MAX_DATA) {
		t->e.full = true;
		return t->tier->data + t->data_begin;
	}
	for (u32 i = 0; i < addresses; i++)
		t->moved[t->n_moved++] = (u16)((t->data_end - t->data_begin) / 8 + i);
	t->data_end += bytes;
	return p;
}

static u64 site_of(struct translation *t, u32 k)
{
	if (!t->site[k]) {
		t->site[k] = new_record(t, sizeof(struct jit_site), SITE_ADDRESSES);
		*t->site[k] = (struct jit_site){&t->b->ops[k], t->b, t->handler[k]};
	}
	return (u64)t->site[k];
}

void add_cold(struct translation *t, u32 kind, u32 k, u32 at, struct jit_edge *edge)
{
	if (t->n_cold == COLD_MAX) {
		t->e.full = true;
		return;
	}
	t->cold[t->n_cold++] = (struct cold){.kind = (u8)kind,
					     .k = (u8)k,
					     .eax = t->in_eax,
					     .host = t->in_host,
					     .recipe = t->recipe,
					     .at = at,
					     .edge = edge};
}

void add_cold_page(struct translation *t, u32 k, u32 at, struct page_miss *m)
{
	add_cold(t, COLD_PAGE, k, at, NULL);
	if (!t->e.full)
		t->cold[t->n_cold - 1].miss = m;
}

void add_trap(struct translation *t, u32 k)
{
	if (t->n_traps == t->max_traps) {
		t->e.full = true;
		return;
	}
	t->traps[t->n_traps].at = (u32)(t->exec - (u64)t->tier->exec) + emit_pos(&t->e);
	add_cold(t, COLD_TRAP, k, 0, NULL);
	if (!t->e.full)
		t->cold[t->n_cold - 1].trap = t->n_traps++;
}

static void emit_lea_rip(struct translation *t, u32 reg, u64 to)
{
	emit_rip(&t->e, 8, 0x8d, reg, to, t->exec, 0);
}

/* ---- the block's ends ---- */

static void emit_count(struct translation *t, u32 n)
{
	emit_rr(&t->e, 8, 0x81, 5, H_COUNT);
	emit_n(&t->e, n + (t->tier->lose == JIT_LOSE_COUNT), 4);
}

/* Jump when they are others. Return: where the displacement is. */
static u32 emit_keys(struct translation *t, u32 cc)
{
	emit_rm(&t->e, 8, 0x8b, H_RCX, H_RDI, VP_OFF(site_key));
	emit_rip(&t->e, 8, 0x3b, H_RCX, (u64)&t->keys->key, t->exec, 0);
	return emit_jcc(&t->e, cc);
}

static void emit_new_keys(struct translation *t)
{
	emit_lea_rip(t, H_RDX, (u64)t->keys);
	emit_to(&t->e, 0xe8, t->tier->stub.keys, t->exec);
}

static bool is_same_page(const struct translation *t, u64 target)
{
	return !((target ^ t->b->rip) & PAGE_MASK);
}

/* Has the block jumps to other pages by edges? */
static bool has_far_edges(const struct translation *t)
{
	const struct op *ops = t->b->ops;
	u32 n = t->b->n_ops;

	for (u32 k = 0; k < n; k++) {
		u32 kind = t->j[k].kind;

		if ((kind == J_JCC || kind == J_JMP || kind == J_CALL) &&
		    !is_same_page(t, ops[k].imm))
			return true;
	}
	return !is_same_page(t, ops[n].imm);
}

void flow_begin(struct translation *t)
{
	u32 n = 0;

	for (u32 k = 0; k < t->b->n_ops; k++)
		n += (t->j[k].mem && !t->j[k].sure) +
		     (t->j[k].kind == J_CALL_IND || t->j[k].kind == J_STRING);
	emit_count(t, t->b->n_ops);
	add_cold(t, COLD_REFUSE, 0, emit_jcc(&t->e, CC_L), NULL);
	if (n || has_far_edges(t)) {
		t->keys = new_record(t, sizeof(*t->keys) + n * (u32)sizeof(struct jit_page),
				     KEYS_ADDRESSES);
		*t->keys = (struct jit_keys){.b = t->b, .pages = n};
		t->n_pages = n;
		add_cold(t, COLD_KEYS, 0, emit_keys(t, CC_NE), NULL);
	}
	t->loop_top = emit_pos(&t->e);
}

void flow_handler(struct translation *t, u32 k)
{
	u64 site = site_of(t, k);

	want_eax(t);
	emit_lea_rip(t, H_RDX, site);
	emit_to(&t->e, 0xe8, t->tier->stub.store, t->exec);
	emit_rip(&t->e, 4, 0xff, 4, site + (u64)SITE_OFF(handler), t->exec, 0);
	t->in_eax = true;
	t->in_host = false;
	t->recipe.kind = RECIPE_NONE;
}

/* Targets that are not canonical are the handlers'. */
bool flow_is_near(const struct translation *t, u64 target)
{
	if (t->tier->off & 1u << JIT_GROUP_CHAIN)
		return false;
	return is_same_page(t, target) || (!(t->tier->off & 1u << JIT_GROUP_FAR) &&
					   (u64)((s64)(target << 16) >> 16) == target);
}

static void give_back(struct translation *t, u32 count)
{
	if (t->b->n_ops != count)
		emit_rm(&t->e, 8, 0x8d, H_COUNT, H_COUNT, (s32)(t->b->n_ops - count));
}

static bool same_recipe(const struct recipe *a, const struct recipe *b)
{
	return a->kind == b->kind && a->size == b->size && a->a == b->a && a->b == b->b &&
	       a->imm == b->imm;
}

/* To the second body, which is entered with flags by recipe? */
static bool goes_again(struct translation *t)
{
	if (!t->recipe.kind || (!t->again && t->n_loops == ARRAY_SIZE(t->loop_at)))
		return false;
	if (t->again)
		return same_recipe(&t->recipe, &t->loop_recipe) && !(t->loop_vec & ~t->vec_ok);
	if (t->n_loops)
		return same_recipe(&t->recipe, &t->loop_recipe) && t->loop_vec == t->vec_ok;
	for (u32 k = 0; k < t->b->n_ops; k++)
		if (t->j[k].kind == J_SLOW)
			return false;
	return t->b->n_ops <= LOOP_MAX_OPS;
}

/* A loop of one block: attention tells when it is stale. */
static void flow_loop(struct translation *t, u32 count)
{
	bool again = goes_again(t);

	if (!again)
		want_eax(t);
	t->in_host = false;
	emit_count(t, count);
	if (!again) {
		emit_patch(&t->e, emit_jcc(&t->e, CC_GE), t->loop_top);
	} else if (t->again) {
		emit_patch(&t->e, emit_jcc(&t->e, CC_GE), t->again_top);
	} else {
		t->loop_recipe = t->recipe;
		t->loop_vec = t->vec_ok;
		t->loop_at[t->n_loops++] = emit_jcc(&t->e, CC_GE);
	}
	add_cold(t, COLD_REFUSE, 0, emit_jmp(&t->e), NULL);
}

void flow_again(struct translation *t)
{
	t->again = true;
	t->again_top = emit_pos(&t->e);
	for (u32 i = 0; i < t->n_loops; i++)
		emit_patch(&t->e, t->loop_at[i], t->again_top);
	t->in_host = t->in_eax = false;
	t->recipe = t->loop_recipe;
	t->vec_ok = t->loop_vec;
	t->n_access = 0;
}

struct jit_edge *flow_new_edge(struct translation *t, u32 k, u32 count, u64 target, u32 digit)
{
	struct jit_edge *edge = new_record(t, sizeof(*edge), EDGE_ADDRESSES);
	bool far = !is_same_page(t, target);

	*edge = (struct jit_edge){.op = &t->b->ops[k],
				  .b = t->b,
				  .count = count,
				  .rip = target,
				  .is_far = far,
				  .sibling = t->edges};
	t->edges = edge;
	if (far) {
		edge->far = t->keys->far;
		t->keys->far = edge;
	}
	give_back(t, count);
	emit_rip(&t->e, 4, 0xff, digit, (u64)&edge->target, t->exec, 0);
	add_cold(t, COLD_EDGE_STUB, k, 0, edge); /* where it goes at first */
	return edge;
}

/* Flags are in eax, but for loops of one block. @k: where the link is; @count: instructions before
 * the target. */
void flow_edge(struct translation *t, u32 k, u32 count, u64 target)
{
	if (!flow_is_near(t, target)) {
		want_eax(t);
		t->in_host = false;
		flow_far_target(t, target);
		flow_find(t, k);
		give_back(t, count);
		flow_jump(t, 4);
		return;
	}
	if (target == t->b->rip) {
		flow_loop(t, count);
		return;
	}
	want_eax(t);
	t->in_host = false;
	flow_new_edge(t, k, count, target, 4);
}

void flow_end(struct translation *t)
{
	u32 n = t->b->n_ops;

	flow_edge(t, n, n, t->b->ops[n].imm);
}

void flow_jmp(struct translation *t, u32 k)
{
	flow_edge(t, k, k + 1, t->b->ops[k].imm);
}

void flow_jcc(struct translation *t, u32 k, u32 cc)
{
	const struct op *op = &t->b->ops[k];
	bool eax = t->in_eax;
	u32 over;

	want_host(t);
	if (op->imm > t->b->rip + op->rip_off) {
		add_cold(t, COLD_EDGE, k, emit_jcc(&t->e, cc), NULL);
		return;
	}
	/* Backwards: a loop. */
	over = emit_jcc(&t->e, cc ^ 1);
	if (!flow_is_near(t, op->imm))
		want_eax(t);
	flow_edge(t, k, k + 1, op->imm);
	emit_patch(&t->e, over, emit_pos(&t->e));
	t->in_host = true;
	t->in_eax = eax;
}

void flow_far_target(struct translation *t, u64 target)
{
	emit_mov_imm(&t->e, H_RDX, target);
}

void flow_find(struct translation *t, u32 k)
{
	struct emit *e = &t->e;

	u32 first;

	t->held.what = RDX_NOTHING;
	BUILD_ASSERT(VP_JUMPS == 4096 && sizeof(struct jump_slot) == 32);
	if (t->tier->off & 1u << JIT_GROUP_CHAIN) {
		add_cold(t, COLD_SITE, k, emit_jmp(e), NULL);
		return;
	}
	emit_rr(e, 4, 0x89, H_RDX, H_RCX);
	emit_n(e, 0x0ce9c1, 3);
	emit_rr(e, 4, 0x31, H_RDX, H_RCX);
	emit_rr(e, 4, 0x81, 4, H_RCX);
	emit_n(e, VP_JUMPS - 1, 4);
	emit_n(e, 0x05e1c1, 3); /* shl ecx, 5 */
	emit_mem(e, 8, 0x3b, H_RDX, H_RDI, H_RCX, JUMP_OFF(rip));
	add_cold(t, COLD_FIND, k, emit_jcc(e, CC_NE), NULL);
	first = t->n_cold - 1;
	emit_rm(e, 8, 0x8b, H_RDX, H_RDI, VP_OFF(jump_key));
	emit_mem(e, 8, 0x3b, H_RDX, H_RDI, H_RCX, JUMP_OFF(key));
	add_cold(t, COLD_FIND, k, emit_jcc(e, CC_NE), NULL);
	if (e->full)
		return;
	t->cold[first + 1].old_key = true;
	t->cold[first].back = t->cold[first + 1].back = emit_pos(e);
}

void flow_jump(struct translation *t, u32 digit)
{
	emit_mem(&t->e, 4, 0xff, digit, H_RDI, H_RCX, JUMP_OFF(hot));
}

/* ---- out of line ---- */

static void emit_one_cold(struct translation *t, u32 i)
{
	struct cold c = t->cold[i];

	if (c.kind == COLD_TRAP)
		t->traps[c.trap].cold = (u32)(t->exec - (u64)t->tier->exec) + emit_pos(&t->e);
	else if (c.at)
		emit_patch(&t->e, c.at, emit_pos(&t->e));
	else
		c.edge->target = c.edge->cold = t->exec + emit_pos(&t->e);
	t->recipe = c.recipe;
	t->in_eax = c.eax;
	t->in_host = c.host;
	want_eax(t);
	t->in_host = false;
	switch (c.kind) {
	case COLD_EDGE: flow_edge(t, c.k, c.k + 1u, t->b->ops[c.k].imm); break;
	case COLD_EDGE_STUB:
		emit_lea_rip(t, H_RDX, (u64)c.edge);
		emit_to(&t->e, 0xe9, c.edge->is_far ? t->tier->stub.edge_far : t->tier->stub.edge,
			t->exec);
		break;
	case COLD_KEYS:
		emit_new_keys(t);
		emit_patch(&t->e, emit_jmp(&t->e), t->loop_top);
		break;
	case COLD_FIND: /* rdx: target, or it is where rcx says */
		if (c.old_key)
			emit_mem(&t->e, 8, 0x8b, H_RDX, H_RDI, H_RCX, JUMP_OFF(rip));
		emit_to(&t->e, 0xe8, t->tier->stub.find, t->exec);
		t->in_eax = true;
		add_cold(t, COLD_SITE, c.k, emit_jcc(&t->e, CC_S), NULL);
		emit_patch(&t->e, emit_jmp(&t->e), c.back);
		break;
	case COLD_RETURN: call_mismatch(t, c.k); break;
	case COLD_PAGE: operand_miss(t, c.k, c.miss); break;
	case COLD_REFUSE:
		emit_lea_rip(t, H_RDX, site_of(t, 0));
		emit_to(&t->e, 0xe9, t->tier->stub.refuse, t->exec);
		break;
	default:
		emit_lea_rip(t, H_RDX, site_of(t, c.k));
		emit_to(&t->e, 0xe9, t->tier->stub.site, t->exec);
	}
}

/* Entry before operation @k: from a handler, or from the run loop. */
static u32 emit_entry(struct translation *t, u32 k)
{
	u32 at = emit_pos(&t->e), parked = 0, fail[RANGE_MAX], n;

	if (t->entry_vec[k]) { /* the straight path has looked already */
		emit_rm(&t->e, 4, 0x0fb6, H_RCX, H_RDI, VP_OFF(vec_ok));
		emit_rr(&t->e, 4, 0xf7, 2, H_RCX); /* not ecx */
		emit_rr(&t->e, 1, 0xf6, 0, H_RCX);
		emit1(&t->e, t->entry_vec[k]);
		parked = emit_jcc(&t->e, CC_NE);
	}
	emit_mov_imm(&t->e, H_RCX, t->b->n_ops);
	emit_to(&t->e, 0xe8, t->tier->stub.load, t->exec);
	if (t->keys) {
		u32 same = emit_keys(t, CC_E);

		emit_new_keys(t);
		emit_patch(&t->e, same, emit_pos(&t->e));
	}
	n = operand_entry(t, k, fail);
	if (t->entry_host[k])
		put_flags(&t->e);
	emit_patch(&t->e, emit_jmp(&t->e), t->label[k]);
	if (!n && !parked)
		return at;
	for (u32 i = 0; i < n; i++)
		emit_patch(&t->e, fail[i], emit_pos(&t->e));
	if (n)
		emit_drop_calls(&t->e);
	if (parked)
		emit_patch(&t->e, parked, emit_pos(&t->e));
	emit_rip(&t->e, 8, 0x8b, H_RSI, site_of(t, k) + (u64)SITE_OFF(op), t->exec, 0);
	emit_rip(&t->e, 4, 0xff, 4, site_of(t, k) + (u64)SITE_OFF(handler), t->exec, 0);
	return at;
}

void flow_finish(struct translation *t, u32 *entries)
{
	/* edges that are out of line themselves add to the list */
	for (u32 i = 0; i < t->n_cold; i++)
		emit_one_cold(t, i);
	t->entry[0] = true;
	for (u32 k = 0; k < t->b->n_ops; k++)
		if (t->entry[k] && t->j[k].kind != J_SLOW)
			entries[k] = emit_entry(t, k);
}
