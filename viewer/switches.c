/* Process switches; see switches.h. */
#include <stdlib.h>

#include "viewer/switches.h"

void switches_add(struct switches *s, const struct transition *t)
{
	if (t->kind != TRANSITION_process_switch)
		return;
	if (!s->item)
		s->item = malloc(sizeof(*s->item) * SWITCHES_KEPT);
	if (s->item)
		s->item[s->count++ % SWITCHES_KEPT] = (struct process_switch){
			t->vtime_ns, t->vcpu_id, (u32)transition_payload(t, process_switch)->next};
}

void switches_fini(struct switches *s)
{
	free(s->item);
	*s = (struct switches){.count = 0};
}

static const struct process_switch *at(const struct switches *s, u64 i)
{
	return &s->item[i % SWITCHES_KEPT];
}

/* To the next one of this processor. */
static void skip_others(struct switches_walk *w)
{
	while (w->next < w->switches->count && at(w->switches, w->next)->vcpu != w->vcpu)
		w->next++;
}

void switches_begin(struct switches_walk *w, const struct switches *s, u32 vcpu)
{
	*w = (struct switches_walk){s, s->count > SWITCHES_KEPT ? s->count - SWITCHES_KEPT : 0,
				    vcpu, EVENT_NO_ID};
	if (s->item)
		skip_others(w);
	else
		w->next = s->count;
}

u32 switches_at(struct switches_walk *w, u64 at_ns, u64 *until_ns)
{
	while (w->next < w->switches->count && at(w->switches, w->next)->at_ns <= at_ns) {
		w->process = at(w->switches, w->next++)->process;
		skip_others(w);
	}
	*until_ns = w->next < w->switches->count ? at(w->switches, w->next)->at_ns : ~0ull;
	return w->process;
}
