/* Marks; see marks.h. */
#include <stdlib.h>

#include "viewer/marks.h"

static void keep(struct mark_ring *r, const struct mark *mark)
{
	if (!r->item)
		r->item = malloc(sizeof(*r->item) * MARKS_KEPT);
	if (r->item)
		r->item[r->count++ % MARKS_KEPT] = *mark;
}

void marks_add(struct marks *m, const struct transition *t)
{
	struct mark mark = {t->vtime_ns, t->vcpu_id, EVENT_NO_ID, MARK_NONE};

	switch (t->kind) {
	case TRANSITION_intr_injected: mark.kind = MARK_INTERRUPT; break;
	case TRANSITION_deadline_miss:
		mark.kind = MARK_INFERRED;
		mark.vcpu = (u32)transition_payload(t, deadline_miss)->entity;
		break;
	case TRANSITION_guest_deadline:
		/* guests tell their count of misses when it has changed */
		if (transition_payload(t, guest_deadline)->kind == DEADLINE_MISSES)
			mark.kind = MARK_MISSED;
		mark.child = (u32)transition_payload(t, guest_deadline)->child;
		break;
	case TRANSITION_entry_failure:
	case TRANSITION_vm_entry_failed:
	case TRANSITION_vm_insn_fail: mark.kind = MARK_FAILED; break;
	default: break;
	}
	if (mark.kind)
		keep(mark.kind == MARK_INTERRUPT ? &m->interrupts : &m->others, &mark);
}

void marks_fini(struct marks *m)
{
	free(m->interrupts.item);
	free(m->others.item);
	*m = (struct marks){.others = {.count = 0}};
}

void marks_columns(const struct marks *m, u64 from_ns, u64 col_ns, u32 ncols,
		   bool (*takes)(void *arg, const struct mark *mark), void *arg,
		   enum mark_kind *out)
{
	const struct mark_ring *rings[] = {&m->interrupts, &m->others};

	for (u32 i = 0; i < ncols; i++)
		out[i] = MARK_NONE;
	for (u32 k = 0; k < ARRAY_SIZE(rings); k++) {
		u64 n = rings[k]->item ? MIN(rings[k]->count, (u64)MARKS_KEPT) : 0;

		for (u64 i = 0; i < n; i++) {
			const struct mark *x = &rings[k]->item[i];
			u64 col = x->at_ns < from_ns ? ncols : (x->at_ns - from_ns) / col_ns;

			if (col < ncols && x->kind > out[col] && (!takes || takes(arg, x)))
				out[col] = x->kind;
		}
	}
}
