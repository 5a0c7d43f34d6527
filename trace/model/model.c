/* The model as a whole: making, feeding, reading; see model.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "trace/model/model_priv.h"

static u32 round_up_pow2(u32 n)
{
	u32 p = 16;

	while (p < n && p < 1u << 30)
		p *= 2;
	return p;
}

struct model *model_create(const struct model_config *cfg)
{
	struct model *m = calloc(1, sizeof(*m));
	int err = 0;

	if (!m)
		return NULL;
	if (cfg)
		m->cfg = *cfg;
	if (!m->cfg.max_vcpus)
		m->cfg.max_vcpus = 4096;
	if (!m->cfg.max_processes)
		m->cfg.max_processes = 65536;
	m->cfg.lane_segments = round_up_pow2(m->cfg.lane_segments ? m->cfg.lane_segments : 65536);
	m->totals.detail = m->cfg.detail == MODEL_LIVE ? MODEL_LIVE : MODEL_EXACT;
	m->totals.first_ns = ~0ull;
	err |= model_table_init(&m->workers, sizeof(struct model_worker), MODEL_MAX_WORKERS);
	err |= model_table_init(&m->vms, sizeof(struct model_vm), MODEL_MAX_VMS);
	err |= model_table_init(&m->children, sizeof(struct model_child), MODEL_MAX_CHILDREN);
	err |= model_table_init(&m->vcpus, sizeof(struct model_vcpu), m->cfg.max_vcpus);
	err |= model_table_init(&m->processes, sizeof(struct model_process), m->cfg.max_processes);
	err |= model_table_init(&m->threads, sizeof(struct model_thread), m->cfg.max_processes);
	err |= model_table_init(&m->deadlines, sizeof(struct model_deadline), MODEL_MAX_DEADLINES);
	m->worker_priv = calloc(MODEL_MAX_WORKERS, sizeof(*m->worker_priv));
	m->vcpu_priv = calloc(m->cfg.max_vcpus, sizeof(*m->vcpu_priv));
	m->tree = model_tree_create();
	if (m->cfg.drills_down)
		m->intrs = model_intrs_create();
	if (err || !m->worker_priv || !m->vcpu_priv || !m->tree ||
	    (m->cfg.drills_down && !m->intrs)) {
		model_destroy(m);
		return NULL;
	}
	return m;
}

static const struct model_vcpu *model_vcpu_at(const struct model *m, u32 i)
{
	return (const struct model_vcpu *)(const void *)m->vcpus.items + i;
}

void model_destroy(struct model *m)
{
	if (!m)
		return;
	for (u32 i = 0; m->vcpu_priv && i < m->vcpus.count; i++) {
		model_exit_priv_free(&m->vcpu_priv[i],
				     m->vcpu_priv[i].exits ? model_vcpu_at(m, i)->nexits : 0);
		free(m->vcpu_priv[i].exits);
		free(m->vcpu_priv[i].history);
		free(m->vcpu_priv[i].reserves);
	}
	for (u32 i = 0; m->worker_priv && i < m->workers.count; i++)
		free(m->worker_priv[i].ring);
	model_table_fini(&m->workers);
	model_table_fini(&m->vms);
	model_table_fini(&m->children);
	model_table_fini(&m->vcpus);
	model_table_fini(&m->processes);
	model_table_fini(&m->threads);
	model_table_fini(&m->deadlines);
	free(m->failures);
	model_tree_destroy(m->tree);
	model_intrs_destroy(m->intrs);
	free(m->worker_priv);
	free(m->vcpu_priv);
	free(m);
}

static void check_seq(struct model *m, struct model_worker *w, const struct transition *t)
{
	u32 sort = event_infos[t->kind].sort;
	bool *is_known = &model_worker_priv(m, w)->seq_is_known[sort];

	if (m->expects_all && (*is_known || m->expects_start) && sort == EVENT_SORT_ARCH &&
	    t->seq > w->seq_next[sort])
		m->totals.gaps += t->seq - w->seq_next[sort];
	*is_known = true;
	w->seq_next[sort] = MAX(w->seq_next[sort], t->seq + 1);
}

void model_feed(struct model *m, const struct transition *t)
{
	struct model_worker *w;

	if (unlikely(t->kind >= TRANSITION_COUNT)) {
		m->totals.overflow++;
		return;
	}
	m->totals.events++;
	m->totals.by_kind[t->kind]++;
	m->totals.first_ns = MIN(m->totals.first_ns, t->vtime_ns);
	m->totals.last_ns = MAX(m->totals.last_ns, t->vtime_ns);
	w = model_get_worker(m, t->worker);
	if (likely(w)) {
		check_seq(m, w, t);
		w->last_ns = MAX(w->last_ns, t->vtime_ns);
		model_schedule_feed(m, w, t);
	}
	model_entities_feed(m, t);
	if (unlikely(m->on_event != NULL))
		m->on_event(m->event_arg, t);
}

void model_on_event(struct model *m, model_event_fn fn, void *arg)
{
	m->on_event = fn;
	m->event_arg = arg;
}

void model_note_lost(struct model *m, u64 n)
{
	m->totals.lost += MAX(n, (u64)1);
}

void model_expect_all(struct model *m, bool from_start)
{
	m->expects_all = true;
	m->expects_start = from_start;
}

void model_settle(struct model *m)
{
	for (u32 i = 0; i < m->workers.count; i++)
		model_schedule_settle(m, (struct model_worker *)(void *)m->workers.items + i);
}

void model_on_stretch(struct model *m, model_stretch_fn fn, void *arg)
{
	m->on_stretch = fn;
	m->stretch_arg = arg;
}

void model_on_begin(struct model *m, model_stretch_fn fn, void *arg)
{
	m->on_begin = fn;
	m->begin_arg = arg;
}

const struct model_totals *model_totals(const struct model *m)
{
	return &m->totals;
}

#define DEFINE_ALL(type, many) \
	const struct type *model_##many(const struct model *m, u32 *n) \
	{ \
		*n = m->many.count; \
		return (const struct type *)(const void *)m->many.items; \
	}
#define DEFINE_ONE(type, many) \
	const struct type *type(const struct model *m, u32 id) \
	{ \
		return model_table_find(&m->many, id); \
	}
DEFINE_ALL(model_worker, workers)
DEFINE_ALL(model_vm, vms)
DEFINE_ALL(model_child, children)
DEFINE_ALL(model_vcpu, vcpus)
DEFINE_ALL(model_process, processes)
DEFINE_ALL(model_thread, threads)
DEFINE_ALL(model_deadline, deadlines)
DEFINE_ONE(model_vm, vms)
DEFINE_ONE(model_child, children)
DEFINE_ONE(model_vcpu, vcpus)
DEFINE_ONE(model_process, processes)

/* --- exits summed up --- */
static int compare_exits(const void *a, const void *b)
{
	const struct model_exit *x = a, *y = b;

	if (x->level != y->level)
		return x->level < y->level ? -1 : 1;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return x->reason < y->reason ? -1 : x->reason > y->reason;
}

u32 model_exits_by_level(const struct model *m, u32 vm, struct model_exit *out, u32 max)
{
	struct model_exit sums[MODEL_LEVELS * 128];
	const struct model_vcpu *v;
	u32 nvcpus, n = 0;

	memset(sums, 0, sizeof(sums));
	v = model_vcpus(m, &nvcpus);
	for (u32 i = 0; i < nvcpus; i++, v++) {
		for (u32 x = 0; x < v->nexits && (vm == EVENT_NO_ID || v->vm == vm); x++) {
			const struct model_exit *e = &v->exits[x];
			u32 level = MIN(e->level, MODEL_LEVELS - 1);
			struct model_exit *sum = &sums[level * 128 + MIN(e->reason, 127u)];

			sum->reason = e->reason;
			sum->level = level;
			sum->count += e->count;
			sum->reflected += e->reflected;
			sum->charge_ns += e->charge_ns;
			sum->host_cost_ns += e->host_cost_ns;
			sum->host_cost_max_ns = MAX(sum->host_cost_max_ns, e->host_cost_max_ns);
		}
	}
	for (u32 i = 0; i < ARRAY_SIZE(sums); i++)
		if (sums[i].count)
			sums[n++] = sums[i];
	qsort(sums, n, sizeof(sums[0]), compare_exits);
	memcpy(out, sums, sizeof(sums[0]) * MIN(n, max));
	return n;
}

/* --- names --- */
static const char *vm_name(const struct model *m, u32 id, char *buf, size_t bytes)
{
	const struct model_vm *vm = model_vm(m, id);

	if (vm && vm->name[0])
		snprintf(buf, bytes, "%s", vm->name);
	else if (id == EVENT_NO_ID)
		snprintf(buf, bytes, "?");
	else
		snprintf(buf, bytes, "vm%u", id);
	return buf;
}

const char *model_child_name(const struct model *m, u32 child, char *buf, size_t bytes)
{
	const struct model_child *c = model_child(m, child);
	char vm[EVENT_NAME_BYTES + 8];

	vm_name(m, c ? c->vm : EVENT_NO_ID, vm, sizeof(vm));
	if (c && c->name[0])
		snprintf(buf, bytes, "%s/%s", vm, c->name);
	else
		snprintf(buf, bytes, "%s/child %u", vm, child);
	return buf;
}

static bool has_siblings(const struct model *m, const struct model_vcpu *v)
{
	const struct model_vcpu *other;
	u32 n, same = 0;

	other = model_vcpus(m, &n);
	for (u32 i = 0; i < n; i++)
		same += other[i].vm == v->vm && other[i].child == v->child;
	return same > 1;
}

const char *model_vcpu_name(const struct model *m, u32 vcpu, char *buf, size_t bytes)
{
	const struct model_vcpu *v = model_vcpu(m, vcpu);
	size_t used;

	if (vcpu == EVENT_NO_ID) {
		snprintf(buf, bytes, "idle");
		return buf;
	}
	if (!v) {
		snprintf(buf, bytes, "vcpu %u", vcpu);
		return buf;
	}
	if (v->child == EVENT_NO_ID && v->level <= 1)
		vm_name(m, v->vm, buf, bytes);
	else
		model_child_name(m, v->child, buf, bytes);
	used = strlen(buf);
	if (has_siblings(m, v))
		snprintf(buf + used, bytes - used, "#%u", v->index);
	return buf;
}
