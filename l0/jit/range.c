#include "l0/jit/range.h"

#define RANGE_BYTES (1u << 20) /* at most; more would seldom be beside each other on the host */
#define DISP_MAX (1 << 30)

void range_values_begin(struct range_values *v)
{
	for (u32 r = 0; r < GPR_COUNT; r++) {
		v->value[r] = r + 1;
		v->plus[r] = 0;
	}
	v->none = GPR_COUNT + 1;
	v->last = v->none;
}

static void forget(struct range_values *v, u32 regs)
{
	for (u32 r = 0; r < GPR_COUNT; r++)
		if (regs >> r & 1) {
			v->value[r] = ++v->last;
			v->plus[r] = 0;
		}
}

static void copy(struct range_values *v, u32 to, u32 from, s64 plus)
{
	v->value[to] = v->value[from];
	v->plus[to] = v->plus[from] + plus;
}

/* RSP moves by the operand, then what is written is unknown. */
static void step_stack(struct range_values *v, const struct op *op, const struct jit_op *j)
{
	u32 others = j->wr & ~(1u << RSP);

	if (j->kind == J_LEAVE)
		copy(v, RSP, RBP, op->size);
	else
		v->plus[RSP] += j->kind == J_POP ? op->size : -(s64)op->size;
	if (j->kind == J_POP && op->dst == RSP)
		others |= 1u << RSP;
	forget(v, others);
}

static bool adds_constant(const struct op *op, const struct jit_op *j, s64 *plus)
{
	if (j->mem || op->size != 8 || op->dst >= GPR_COUNT)
		return false;
	if (j->kind == J_UNARY && j->by_cl) {
		*plus = j->sub ? -1 : 1;
		return true;
	}
	*plus = j->sub ? -(s64)op->imm : (s64)op->imm;
	return j->kind == J_ALU && (j->sub == 0 || j->sub == 5) && j->form == FORM_RI;
}

void range_values_step(struct range_values *v, const struct op *op, const struct jit_op *j)
{
	s64 plus;

	switch (j->kind) {
	case J_SLOW:
		forget(v, (1u << GPR_COUNT) - 1);
		v->none = ++v->last;
		return;
	case J_PUSH:
	case J_POP:
	case J_LEAVE:
	case J_CALL:
	case J_CALL_IND: step_stack(v, op, j); return;
	case J_MOV:
		if (j->form != FORM_RR || op->size != 8)
			break;
		copy(v, op->dst, op->src, 0);
		return;
	case J_LEA:
		if (op->size != 8 || op->base == OP_NO_REG || op->index != OP_NO_REG)
			break;
		copy(v, op->dst, op->base, op->disp);
		return;
	default:
		if (!adds_constant(op, j, &plus))
			break;
		v->plus[op->dst] += plus;
		return;
	}
	forget(v, j->wr | (j->kind == J_XCHG ? 1u << (op->src & 15) : 0));
}

bool range_place_of(const struct range_values *v, const struct op *op, const struct jit_op *j,
		    struct range_place *p)
{
	u32 base = op->base, index = op->index;
	s64 disp = op->disp;

	switch (j->kind) {
	case J_PUSH:
	case J_CALL:
	case J_CALL_IND:
		base = RSP;
		index = OP_NO_REG;
		disp = -(s64)op->size;
		break;
	case J_POP:
	case J_RET:
		base = RSP;
		index = OP_NO_REG;
		disp = 0;
		break;
	case J_LEAVE:
		base = RBP;
		index = OP_NO_REG;
		disp = 0;
		break;
	case J_MOV:
	case J_ALU:
	case J_TEST:
	case J_UNARY:
	case J_SHIFT:
	case J_IMUL:
	case J_EXTEND:
	case J_CMOV:
	case J_SETCC:
	case J_VEC:
		if (!j->mem || j->vec.align || op->asize != 8 || op->seg == SEG_FS ||
		    op->seg == SEG_GS)
			return false;
		break;
	default: return false;
	}
	if ((base != OP_NO_REG || index != OP_NO_REG) && (disp < -DISP_MAX || disp > DISP_MAX))
		return false;
	*p = (struct range_place){.base = base == OP_NO_REG ? v->none : v->value[base],
				  .offset = disp};
	if (base != OP_NO_REG)
		p->offset += v->plus[base];
	if (index != OP_NO_REG) {
		p->index = v->value[index];
		p->scale = op->scale;
		p->offset += v->plus[index] * op->scale;
	}
	return true;
}

static bool writes(const struct jit_op *j)
{
	switch (j->kind) {
	case J_PUSH:
	case J_CALL:
	case J_CALL_IND:
	case J_UNARY:
	case J_SHIFT:
	case J_SETCC: return true;
	case J_MOV: return j->form == FORM_MR || j->form == FORM_MI;
	case J_ALU: return j->form != FORM_RM && j->sub != 7;
	case J_VEC: return j->vec.store;
	default: return false;
	}
}

/* Nothing but the look-up can make it leave. */
static bool is_quiet(const struct jit_op *j)
{
	return !j->leaves && j->kind < J_JCC;
}

struct candidate {
	struct range_place place; /* of the lowest byte */
	s64 end;
	u32 first, n;
	bool write;
};

static bool joins(struct candidate *c, const struct range_place *p, u32 size)
{
	s64 low = MIN(c->place.offset, p->offset), end = MAX(c->end, p->offset + (s64)size);

	if (p->base != c->place.base || p->index != c->place.index || p->scale != c->place.scale ||
	    end - low > RANGE_BYTES)
		return false;
	c->place.offset = low;
	c->end = end;
	return true;
}

/* Which of the @n candidates the access is of; a new one where there is room, else @n. */
static u32 choose(struct candidate *c, u32 *n, u32 k, const struct range_place *p, u32 size)
{
	u32 i = 0;

	while (i < *n && !joins(&c[i], p, size))
		i++;
	if (i == *n && i < RANGE_MAX)
		c[(*n)++] = (struct candidate){*p, p->offset + (s64)size, k, 0, false};
	return i;
}

void range_find(const struct block *b, struct jit_op *j)
{
	struct candidate c[RANGE_MAX];
	s64 offset[BLOCK_MAX_OPS];
	struct range_values v;
	u32 n = 0;

	range_values_begin(&v);
	for (u32 k = 0; k < b->n_ops; k++) {
		const struct op *op = &b->ops[k];
		struct range_place p;
		u32 size = j[k].kind == J_EXTEND ? j[k].src_size : op->size, i;

		if (range_place_of(&v, op, &j[k], &p) &&
		    (i = choose(c, &n, k, &p, size)) < RANGE_MAX) {
			offset[k] = p.offset;
			c[i].write |= writes(&j[k]);
			c[i].n++;
			j[k].range.id = (u8)(i + 1);
		}
		range_values_step(&v, op, &j[k]);
	}
	for (u32 k = 0; k < b->n_ops; k++) {
		struct jit_range *r = &j[k].range;
		const struct candidate *x;

		if (!r->id)
			continue;
		x = &c[r->id - 1];
		if (x->n == 1) {
			r->id = 0;
			continue;
		}
		r->at = (s32)(offset[k] - x->place.offset);
		r->bytes = (u32)(x->end - x->place.offset);
		r->write = x->write;
		r->first = k == x->first;
		j[k].sure = !r->first && is_quiet(&j[k]);
	}
}
