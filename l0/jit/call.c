/*
 * Calls and returns. The host's stack is the return-address stack: a call pushes the guest's return
 * address and then calls, so that what is behind the call goes on at that address; a return that
 * finds its address on top returns there, which the host's processor predicts. Any other return
 * takes one entry away and looks its target up, so both stacks soon agree again. Whatever leaves
 * translated code drops all entries (vp->jit_sp), and it leaves every few thousand instructions:
 * that bounds the stack. Below the first entry is one for the return address 0 (jit_returned()).
 */
#include "l0/jit/translation.h"

static u64 next_rip(const struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];

	return t->b->rip + op->rip_off + op->len;
}

/* Far calls are found again under each key; a return among them has no handler to go to. */
bool call_has_return(const struct translation *t, u32 k)
{
	return !(t->tier->off & 1u << JIT_GROUP_RETURNS) && flow_is_near(t, next_rip(t, k));
}

/* rcx is used when the address does not fit. */
static void push_tag(struct translation *t, u64 tag)
{
	if ((u64)(s64)(s32)tag == tag) {
		emit1(&t->e, 0x68); /* push … */
		emit_n(&t->e, tag, 4);
	} else {
		emit_mov_imm(&t->e, H_RCX, tag);
		emit1(&t->e, 0x51); /* push rcx */
	}
}

/* Behind the call: take the address away and go on. */
static void emit_landing(struct translation *t, u32 k)
{
	emit_lea(&t->e, 8, H_RSP, H_RSP, -1, 1, 8);
	flow_new_edge(t, k, k + 1, next_rip(t, k), 4)->is_return = true;
}

void call_edge(struct translation *t, u32 k, u64 target)
{
	if (!call_has_return(t, k)) {
		flow_edge(t, k, k + 1, target);
		return;
	}
	push_tag(t, next_rip(t, k));
	flow_new_edge(t, k, k + 1, target, 2);
	emit_landing(t, k);
}

void call_jump(struct translation *t, u32 k)
{
	u64 tag = next_rip(t, k);

	if (!call_has_return(t, k)) {
		flow_jump(t, 4);
		return;
	}
	if ((u64)(s64)(s32)tag == tag) {
		push_tag(t, tag);
		flow_jump(t, 2);
	} else {
		emit_mov_imm(&t->e, H_RDX, tag);
		emit1(&t->e, 0x52); /* push rdx */
		flow_jump(t, 2);
	}
	emit_landing(t, k);
}

static void emit_pop_return(struct translation *t, u32 k)
{
	const struct op *op = &t->b->ops[k];
	u32 sp = (u32)jit_host[RSP];

	emit_lea(&t->e, op->size, sp, (int)sp, -1, 1, (s32)op->size + (s32)op->imm);
}

void call_return(struct translation *t, u32 k)
{
	if (t->tier->off & 1u << JIT_GROUP_RETURNS) {
		call_mismatch(t, k);
		return;
	}
	emit_rm(&t->e, 8, 0x3b, H_RDX, H_RSP, 8);
	add_cold(t, COLD_RETURN, k, emit_jcc(&t->e, CC_NE), NULL);
	emit_pop_return(t, k);
	emit1(&t->e, 0xc3);
}

void call_mismatch(struct translation *t, u32 k)
{
	struct emit *e = &t->e;

	if (!(t->tier->off & 1u << JIT_GROUP_RETURNS)) {
		u32 last;

		emit_lea(e, 8, H_RCX, H_RSP, -1, 1, 16);
		emit_rm(e, 8, 0x3b, H_RCX, H_RDI, VP_OFF(jit_sp));
		last = emit_jcc(e, CC_AE);
		emit_rr(e, 8, 0x89, H_RCX, H_RSP);
		emit_patch(e, last, emit_pos(e));
	}
	flow_find(t, k);
	emit_pop_return(t, k);
	flow_jump(t, 4);
}
