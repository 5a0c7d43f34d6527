/*
 * Threads of the guests' kernels, by the stacks that they run on (mechanism A3).
 *
 * A stack's number is its address in units of a stack's size: kernels align stacks to their size.
 * What loads the stack pointer without being a switch: an entry from user mode to the top of the
 * thread's own stack (same number), an interrupt stack that the kernel borrows and whose first word
 * links back, and the entry stack of a processor that the TSS names all the time.
 */
#include <stdlib.h>

#include "l0/base/hash.h"
#include "l0/track/track_priv.h"

void track_set_threads(struct track *t, enum track_threads_by by, u32 stack_bytes)
{
	t->threads.by = by;
	t->threads.shift = by == TRACK_THREADS_STACK ? (u32)__builtin_ctz(stack_bytes) : 0;
}

static u64 key_of(const struct track_threads *h, u64 value)
{
	return h->shift ? (value - 1) >> h->shift : value;
}

static u64 stack_of(const struct track_threads *h, u64 key)
{
	return key << h->shift;
}

static struct track_thread **bucket(struct track_threads *h, u32 child, u64 key)
{
	return &h->bucket[hash_u64(key ^ (u64)child << 52) % THREAD_BUCKETS];
}

static void take_off(struct track_threads *h, struct track_thread *x)
{
	struct track_thread **p = bucket(h, x->child, x->key);

	while (*p != x)
		p = &(*p)->next;
	*p = x->next;
	list_del(&x->used);
	h->count--;
}

static struct track_thread *lookup(struct track_threads *h, u32 child, u64 key)
{
	struct track_thread *x = *bucket(h, child, key);

	while (x && (x->key != key || x->child != child))
		x = x->next;
	return x;
}

static struct track_thread *get(struct track *t, u32 child, u64 key)
{
	struct track_threads *h = &t->threads;
	struct track_thread *x = lookup(h, child, key);

	if (!x) {
		if (h->count >= TRACK_MAX_THREADS) {
			x = list_first(&h->used, struct track_thread, used);
			take_off(h, x);
		} else {
			x = malloc(sizeof(*x));
			if (!x)
				return NULL;
		}
		*x = (struct track_thread){.id = EVENT_ID_TRACKED | t->vm << 16 |
						 (h->next++ & 0xffff),
					   .child = child,
					   .key = key};
		struct track_thread **b = bucket(h, child, key);
		x->next = *b;
		*b = x;
		list_add_tail(&h->used, &x->used);
		h->count++;
	} else {
		list_move_tail(&h->used, &x->used);
	}
	return x;
}

/* What runs now: a guest, or the machine itself. */
static struct track_runs *runs_of(struct track_vp *v, u32 *child, u32 *process)
{
	if (v->inside && v->active) {
		*child = v->active->child->id;
		*process = v->active->process;
		return &v->active->runs;
	}
	*child = EVENT_NO_ID;
	*process = v->process;
	return &v->runs;
}

static bool is_source(const struct track_threads *h, u32 how)
{
	switch (h->by) {
	case TRACK_THREADS_STACK: return how < THREAD_BY_FS;
	case TRACK_THREADS_FS: return how == THREAD_BY_FS;
	case TRACK_THREADS_GS: return how == THREAD_BY_GS;
	default: return false;
	}
}

static void mark_user(struct track *t, const struct track_runs *r, u32 child)
{
	struct track_thread *x =
		r->thread == EVENT_NO_ID ? NULL : lookup(&t->threads, child, r->key);

	if (x)
		x->user = true;
}

bool track_is_other_thread(struct track_vp *v, u32 how, u64 value, u64 prev)
{
	struct track *t = v->track;
	u32 child, process;
	struct track_runs *r = runs_of(v, &child, &process);

	if (!is_source(&t->threads, how))
		return false;
	if (how == THREAD_BY_TSS)
		mark_user(t, r, child);
	if (how == THREAD_BY_REGISTER && key_of(&t->threads, value) == key_of(&t->threads, prev))
		return false; /* on a stack that is borrowed, too */
	return r->thread == EVENT_NO_ID || r->key != key_of(&t->threads, value);
}

void track_stack(struct track_vp *v, const struct track_stack *s)
{
	struct track *t = v->track;
	struct track_threads *h = &t->threads;
	u64 key = key_of(h, s->value);
	u32 child, process;
	struct track_runs *r = runs_of(v, &child, &process);

	if (s->is_borrowed)
		return;
	if (s->is_user) {
		mark_user(t, r, child);
		return;
	}
	if (h->by == TRACK_THREADS_STACK && s->has_entry && key == key_of(h, s->entry) &&
	    s->entry == r->entry_stack) {
		mark_user(t, r, child);
		return;
	}
	struct track_thread *x = get(t, child, key);
	if (!x)
		return;
	TRANSITION(v->ctx, thread_switch, .prev = r->thread, .next = x->id, .process = process,
		   .stack = stack_of(h, key), .cause = s->how);
	x->process = process;
	x->switches++;
	*r = (struct track_runs){
		.thread = x->id, .key = key, .entry_stack = s->has_entry ? s->entry : 0};
	if (v->inside && v->active)
		idle_switch(v, &v->active->idle, process, process, x->id);
	else
		idle_switch(v, &v->idle, process, process, x->id);
	counts_look(v);
}

void threads_emit_state(struct track *t, struct trace_ctx *ctx)
{
	struct track_threads *h = &t->threads;
	const struct track_thread *x;

	list_for_each (x, &h->used, used)
		TRANSITION(ctx, thread_state, .thread = x->id, .vm = t->vm, .child = x->child,
			   .process = x->process, .stack = stack_of(h, x->key), .user = x->user,
			   .switches = x->switches);
}

void threads_fini(struct track *t)
{
	struct track_thread *x, *tmp;

	list_for_each_safe (x, tmp, &t->threads.used, used) {
		list_del(&x->used);
		free(x);
	}
}
