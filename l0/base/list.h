/*
 * list.h - intrusive doubly linked circular list
 *
 * A list head and every element is a struct list_node; an element's node is embedded in it and
 * list_entry() finds the element again. No locking, no allocation, O(1) but for list_count().
 * An initialised node that is on no list points to itself, so list_del() on it is harmless.
 */
#ifndef L0_BASE_LIST_H
#define L0_BASE_LIST_H

#include "l0/base/types.h"

struct list_node {
	struct list_node *prev, *next;
};

#define LIST_INIT(name) \
	{ \
		&(name), &(name) \
	}

static inline void list_init(struct list_node *n)
{
	n->prev = n;
	n->next = n;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

static inline void list_insert_between(struct list_node *n, struct list_node *prev,
				       struct list_node *next)
{
	n->prev = prev;
	n->next = next;
	prev->next = n;
	next->prev = n;
}

/* Insert as first; with an element as @head: right after it. */
static inline void list_add(struct list_node *head, struct list_node *n)
{
	list_insert_between(n, head, head->next);
}

/* Insert as last; with an element as @head: right before it. */
static inline void list_add_tail(struct list_node *head, struct list_node *n)
{
	list_insert_between(n, head->prev, head);
}

/* Take @n off its list and leave it initialised. */
static inline void list_del(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

static inline void list_move_tail(struct list_node *head, struct list_node *n)
{
	list_del(n);
	list_add_tail(head, n);
}

static inline void list_move(struct list_node *head, struct list_node *n)
{
	list_del(n);
	list_add(head, n);
}

static inline size_t list_count(const struct list_node *head)
{
	size_t count = 0;

	for (const struct list_node *n = head->next; n != head; n = n->next)
		count++;
	return count;
}

#define list_entry(node, type, member) container_of(node, type, member)

/* First and last element, or NULL. */
#define list_first(head, type, member) \
	(list_is_empty(head) ? NULL : list_entry((head)->next, type, member))
#define list_last(head, type, member) \
	(list_is_empty(head) ? NULL : list_entry((head)->prev, type, member))

/* Walk elements; @pos is a pointer variable of the element's type. */
#define list_for_each(pos, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member); &pos->member != (head); \
	     pos = list_entry(pos->member.next, __typeof__(*pos), member))

/* The same where the body may take @pos off the list; @tmp is a second such pointer. */
#define list_for_each_safe(pos, tmp, head, member) \
	for (pos = list_entry((head)->next, __typeof__(*pos), member), \
	    tmp = list_entry(pos->member.next, __typeof__(*pos), member); \
	     &pos->member != (head); \
	     pos = tmp, tmp = list_entry(pos->member.next, __typeof__(*pos), member))

#endif
