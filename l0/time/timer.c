/*
 * timer.c - pairing heap of timers, see timer.h
 *
 * Children of a node are a singly walked list (child, next); prev leads back to the previous
 * sibling or, from a first child, to the parent, so any node can be cut out in O(1).
 */
#include "l0/time/timer.h"

#include "l0/base/assert.h"

void timer_queue_init(struct timer_queue *q)
{
	q->root = NULL;
	q->next_order = 0;
}

void timer_init(struct timer *t, void (*fn)(void *arg, u64 deadline_ns), void *arg)
{
	*t = (struct timer){.deadline_ns = TIMER_NEVER, .fn = fn, .arg = arg};
}

static bool is_before(const struct timer *a, const struct timer *b)
{
	if (a->deadline_ns != b->deadline_ns)
		return a->deadline_ns < b->deadline_ns;
	return a->order < b->order;
}

/* Join two roots (either may be NULL); neither has siblings. */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a)
		return b;
	if (!b)
		return a;
	if (is_before(b, a)) {
		struct timer *tmp = a;

		a = b;
		b = tmp;
	}
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	return a;
}

/* Two-pass pairing of a list of siblings: pairs left to right, then all of them right to left. */
static struct timer *merge_siblings(struct timer *first)
{
	struct timer *pairs = NULL, *root = NULL;

	while (first) {
		struct timer *a = first, *b = a->next;

		first = b ? b->next : NULL;
		a->next = a->prev = NULL;
		if (b)
			b->next = b->prev = NULL;
		a = meld(a, b);
		a->next = pairs; /* a stack of the pairs, latest first */
		pairs = a;
	}
	while (pairs) {
		struct timer *a = pairs;

		pairs = a->next;
		a->next = NULL;
		root = meld(root, a);
	}
	return root;
}

static void remove_node(struct timer_queue *q, struct timer *t)
{
	struct timer *sub = merge_siblings(t->child);

	if (t == q->root) {
		q->root = sub;
	} else {
		if (t->prev->child == t)
			t->prev->child = t->next;
		else
			t->prev->next = t->next;
		if (t->next)
			t->next->prev = t->prev;
		q->root = meld(q->root, sub);
	}
	t->child = t->next = t->prev = NULL;
	t->armed = false;
}

void timer_arm(struct timer_queue *q, struct timer *t, u64 deadline_ns)
{
	ASSERT_DBG(t->fn);
	if (t->armed)
		remove_node(q, t);
	t->deadline_ns = deadline_ns;
	if (deadline_ns == TIMER_NEVER)
		return;
	t->order = q->next_order++;
	t->armed = true;
	q->root = meld(q->root, t);
}

void timer_cancel(struct timer_queue *q, struct timer *t)
{
	if (t->armed)
		remove_node(q, t);
}

u32 timer_queue_expire(struct timer_queue *q, u64 now_ns, u32 limit)
{
	u32 fired = 0;

	while (fired < limit && q->root && q->root->deadline_ns <= now_ns) {
		struct timer *t = q->root;

		remove_node(q, t);
		t->fn(t->arg, t->deadline_ns);
		fired++;
	}
	return fired;
}
