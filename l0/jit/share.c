/*
 * One translation for several virtual processors. Translating leaves code that all can use and the
 * records of the processor that did it; of these an image is kept with addresses taken out, from
 * which each processor's are made, the first one's too, when it takes the translation over.
 */
#include "l0/engine/exec.h"
#include "l0/jit/arena.h"
#include "l0/jit/translation.h"

/* ---- finding ---- */

static struct jit_code *find(const struct jit *j, const struct block *b)
{
	const struct jit_arena *a = j->arena;
	bool apart = jit_is_apart(j, b);
	struct jit_code *c = a->bucket[arena_bucket(b->rip, b->mode, b->code, b->bytes)];

	while (c && (c->rip != b->rip || c->mode != b->mode || c->hva != b->hva ||
		     c->bytes != b->bytes || c->n_ops != b->n_ops || c->apart != apart ||
		     !nm_equal(c->code, b->code, b->bytes)))
		c = c->next;
	return c;
}

bool share_may_have(const struct jit *j, const struct block *b)
{
	return __atomic_load_n(&j->arena->bucket[arena_bucket(b->rip, b->mode, b->code, b->bytes)],
			       __ATOMIC_RELAXED);
}

/* ---- what a processor has ---- */

static void serialize(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

static struct jit_own *own_of(const struct jit *j, const struct jit_code *c)
{
	return (struct jit_own *)(j->data + c->data + c->own);
}

static struct jit_entry *entries_of(struct jit_own *own)
{
	return (struct jit_entry *)(own + 1);
}

static void make_records(struct jit *j, struct block *b, const struct jit_code *c)
{
	u64 *to = (u64 *)(j->data + c->data);

	nm_copy(to, c->image, c->data_bytes);
	for (u32 i = 0; i < c->n_moved; i++)
		to[c->moved[i] & ~MOVED_BLOCK] += c->moved[i] & MOVED_BLOCK ? (u64)b : (u64)j->exec;
}

static void take(struct jit *j, struct block *b, const struct jit_code *c)
{
	struct jit_own *own = own_of(j, c), *next = own->next;
	struct block **list = &j->by_frame[jit_frame_hash(b->frame)];
	u32 region = c->data / j->arena->part;
	bool is_listed = own->is_listed;

	if (own->b)
		share_detach(j, own->b); /* which is dead */
	make_records(j, b, c);
	own->next = is_listed ? next : j->own[region];
	if (!is_listed)
		j->own[region] = own;
	own->is_listed = true;
	j->data_end[region] = MAX(j->data_end[region], c->data + c->data_bytes);
	if (arena_is_reused(j->arena))
		serialize();
	b->ops[0].fn = b->first;
	for (struct jit_entry *e = entries_of(own); e < entries_of(own) + own->n; e++) {
		e->fn = e->op->fn;
		e->op->fn = (op_fn)e->code;
	}
	b->hot = (u64)j->exec + c->hot;
	b->heat = 0; /* from now on: how often a range did not fit */
	b->own = own;
	b->same = *list;
	*list = b;
}

bool share_take(struct jit *j, struct block *b)
{
	const struct jit_code *c;

	share_give_up(j);
	c = find(j, b);
	if (!c)
		return false;
	take(j, b, c);
	j->n_taken_over++;
	return true;
}

static void cut_edges(struct jit_own *own)
{
	while (own->in)
		edge_cut(own->in);
	for (struct jit_edge *e = own->out; e; e = e->sibling)
		edge_cut(e);
}

void share_detach(struct jit *j, struct block *b)
{
	struct jump_slot *s = &j->vp->jumps[jump_index(b->rip)];
	struct block **list = &j->by_frame[jit_frame_hash(b->frame)];
	struct jit_own *own = b->own;

	cut_edges(own);
	if (s->hot == b->hot)
		s->key = 0;
	for (struct jit_entry *e = entries_of(own); e < entries_of(own) + own->n; e++)
		if (e->op->fn == (op_fn)e->code) /* it may be op_leave() */
			e->op->fn = e->fn;
	while (*list && *list != b)
		list = &(*list)->same;
	if (*list)
		*list = b->same;
	own->b = NULL;
	b->own = NULL;
	b->hot = 0;
}

void share_give_back(const struct block *b, struct op *ops, u32 n)
{
	struct jit_own *own = b->own;

	for (struct jit_entry *e = entries_of(own); e < entries_of(own) + own->n; e++)
		if (e->op < b->ops + n)
			ops[e->op - b->ops].fn = e->fn;
}

void share_give_up(struct jit *j)
{
	struct jit_arena *a = j->arena;
	u64 retired = __atomic_load_n((u64 *)&a->n_retired, __ATOMIC_ACQUIRE), from = j->retired;

	if (likely(from == retired))
		return;
	from = MAX(from, retired - MIN(retired, (u64)a->n_regions));
	for (; from < retired; from++) {
		u32 r = (u32)(from % a->n_regions), begin = arena_data_at(a, r);

		for (struct jit_own *own = j->own[r]; own; own = own->next)
			if (own->b)
				jit_cool(j, own->b);
		j->own[r] = NULL;
		if (j->data_end[r])
			nm_zero(j->data + begin, j->data_end[r] - begin);
		j->data_end[r] = 0;
		j->n_retired++;
	}
	__atomic_store_n((u64 *)&j->retired, retired, __ATOMIC_SEQ_CST);
}

void share_forget_blocks(struct jit *j)
{
	for (u32 r = 0; r < j->arena->n_regions; r++)
		for (struct jit_own *own = j->own[r]; own; own = own->next)
			own->b = NULL;
	nm_zero(j->by_frame, sizeof(j->by_frame));
}

/* ---- publishing ---- */

/* The last of the records. */
static struct jit_own *make_own(struct translation *t, const u32 *entries)
{
	struct jit_own *own = new_record(t, sizeof(*own), OWN_ADDRESSES);

	*own = (struct jit_own){.b = t->b, .out = t->edges};
	for (u32 k = 0; k < t->b->n_ops; k++) {
		if (!entries[k])
			continue;
		struct jit_entry *e = new_record(t, sizeof(*e), ENTRY_ADDRESSES);

		*e = (struct jit_entry){.op = &t->b->ops[k], .code = t->exec + entries[k]};
		own->n++;
	}
	return t->e.full ? NULL : own;
}

/* Take the addresses out of the image, and list where they are. */
static void take_addresses(struct jit_code *c, const struct translation *t)
{
	for (u32 i = 0; i < t->n_moved; i++) {
		u64 *word = &c->image[t->moved[i]], block = *word - (u64)t->b;
		bool in_block = block <= (u64)&t->b->ops[t->b->n_ops] - (u64)t->b;

		if (!*word)
			continue;
		*word = in_block ? block : *word - (u64)t->tier->exec;
		c->moved[c->n_moved++] = (u16)(t->moved[i] | (in_block ? MOVED_BLOCK : 0));
	}
}

bool share_publish(struct translation *t, struct jit_region *r, const u32 *entries)
{
	struct jit *j = t->tier;
	struct jit_arena *a = j->arena;
	struct block *b = t->b;
	struct jit_own *own = make_own(t, entries);
	u32 bytes = t->data_end - t->data_begin;
	struct jit_code *c = own ? arena_info(a, (u32)sizeof(*c) + bytes + ALIGN_UP(b->bytes, 8u) +
							 t->n_moved * 2)
				 : NULL;
	struct jit_code **head = &a->bucket[arena_bucket(b->rip, b->mode, b->code, b->bytes)];

	if (!c)
		return false;
	*c = (struct jit_code){.next = *head,
			       .next_in = r->first,
			       .rip = b->rip,
			       .hva = b->hva,
			       .mode = b->mode,
			       .hot = (u32)(t->exec - (u64)j->exec),
			       .data = t->data_begin,
			       .data_bytes = bytes,
			       .own = (u32)((u8 *)own - j->data) - t->data_begin,
			       .bytes = b->bytes,
			       .n_ops = b->n_ops,
			       .apart = jit_is_apart(j, b),
			       .image = (u64 *)(c + 1)};
	c->code = (u8 *)c->image + bytes;
	c->moved = (u16 *)(c->code + ALIGN_UP(b->bytes, 8u));
	nm_copy(c->code, b->code, b->bytes);
	nm_copy(c->image, j->data + t->data_begin, bytes);
	nm_zero(j->data + t->data_begin, bytes);
	take_addresses(c, t);
	__atomic_store_n(head, c, __ATOMIC_RELAXED);
	r->first = c;
	r->code += ALIGN_UP(emit_pos(&t->e), 64u);
	r->data += bytes;
	__atomic_store_n(&r->n_traps, t->n_traps, __ATOMIC_RELEASE);
	take(j, b, c);
	return true;
}
