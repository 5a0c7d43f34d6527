#include "l0/track/track_priv.h"

#include <stdlib.h>

#include "l0/base/hash.h"

#define EPTP_ROOT 0x000ffffffffff000ull
#define CR3_BASE_PCID 0x000fffffffffffffull

struct track *track_create(u32 vm)
{
	struct track *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->vm = vm;
	list_init(&t->vcpus_used);
	list_init(&t->processes_used);
	list_init(&t->vps);
	list_init(&t->threads.used);
	return t;
}

static u32 vcpu_bucket(u64 vmcs)
{
	return hash_u64(vmcs >> 12) % VCPU_BUCKETS;
}

static u32 process_bucket(u32 child, u64 cr3)
{
	return hash_u64(cr3 ^ (u64)child << 52) % PROCESS_BUCKETS;
}

/* --- child VMs --- */

static struct track_child *child_lookup(struct track *t, u64 root, u32 parent)
{
	for (struct track_child *c = t->children; c; c = c->next)
		if (c->root == root && c->parent == parent)
			return c;
	return NULL;
}

static struct event_text numbered(const char *prefix, u32 vm, u32 n)
{
	char buf[EVENT_NAME_BYTES] = {0};
	u32 len = 0;
	u32 parts[2] = {vm, n & 0xffff};

	while (prefix[len] && len < 10) {
		buf[len] = prefix[len];
		len++;
	}
	for (u32 i = 0; i < 2; i++) {
		char digits[8];
		u32 nd = 0;
		do {
			digits[nd++] = (char)('0' + parts[i] % 10);
			parts[i] /= 10;
		} while (parts[i]);
		while (nd)
			buf[len++] = digits[--nd];
		if (i == 0)
			buf[len++] = '.';
	}
	return event_text(buf);
}

static void emit_child(const struct track *t, struct trace_ctx *ctx, const struct track_child *c)
{
	TRANSITION(ctx, child_state, .name = numbered("child ", t->vm, c->id), .child = c->id,
		   .vm = t->vm, .parent = c->parent, .depth = c->depth, .eptp = c->root,
		   .inferred = c->inferred);
}

static struct track_child *child_create(struct track *t, struct trace_ctx *ctx, u64 root,
					const struct track_vcpu *lender)
{
	struct track_child *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->id = EVENT_ID_TRACKED | t->vm << 16 | (t->next_child++ & 0xffff);
	c->parent = lender ? lender->child->id : EVENT_NO_ID;
	c->depth = lender ? (u16)(lender->child->depth + 1) : 2;
	c->inferred = lender != NULL;
	c->root = root;
	c->next = t->children;
	t->children = c;
	emit_child(t, ctx, c);
	return c;
}

static void child_put(struct track *t, struct track_child *c)
{
	if (--c->nvcpus)
		return;
	for (struct track_child **p = &t->children; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	free(c);
}

/* --- vCPUs --- */

static struct track_vcpu *vcpu_lookup(const struct track *t, u64 vmcs)
{
	struct track_vcpu *c = t->vcpu[vcpu_bucket(vmcs)];

	while (c && c->vmcs != vmcs)
		c = c->next;
	return c;
}

static void vcpu_forget(struct track *t, struct track_vcpu *c)
{
	for (struct track_vcpu **p = &t->vcpu[vcpu_bucket(c->vmcs)]; *p; p = &(*p)->next)
		if (*p == c) {
			*p = c->next;
			break;
		}
	struct track_vp *v;
	list_for_each (v, &t->vps, node) {
		if (v->active == c) {
			v->active = NULL;
			v->inside = false;
		}
		if (v->lending == c)
			v->lending = NULL;
	}
	list_del(&c->used);
	child_put(t, c->child);
	t->nvcpus--;
	free(c);
}

/* The vCPU used longest ago that no processor has active. */
static void vcpu_evict(struct track *t)
{
	struct track_vcpu *c;

	list_for_each (c, &t->vcpus_used, used) {
		if (!c->active) {
			vcpu_forget(t, c);
			return;
		}
	}
}

static struct track_vcpu *vcpu_create(struct track *t, struct trace_ctx *ctx, u64 vmcs, u64 root,
				      u16 vpid, const struct track_vcpu *lender)
{
	u32 parent = lender ? lender->child->id : EVENT_NO_ID;
	/* Without EPT nothing ties the vCPUs of a VM together: each is a child of its own. */
	struct track_child *child = root ? child_lookup(t, root, parent) : NULL;

	if (t->nvcpus >= TRACK_MAX_VCPUS)
		vcpu_evict(t);
	if (t->nvcpus >= TRACK_MAX_VCPUS)
		return NULL;
	struct track_vcpu *c = calloc(1, sizeof(*c));
	if (!c)
		return NULL;
	if (!child)
		child = child_create(t, ctx, root, lender);
	if (!child) {
		free(c);
		return NULL;
	}
	child->nvcpus++;
	c->vmcs = vmcs;
	c->vpid = vpid;
	c->id = EVENT_ID_TRACKED | t->vm << 16 | (t->next_vcpu++ & 0xffff);
	c->child = child;
	c->index = child->next_index++;
	c->active_on = EVENT_NO_ID;
	c->process = EVENT_NO_ID;
	c->runs.thread = EVENT_NO_ID;
	u32 b = vcpu_bucket(vmcs);
	c->next = t->vcpu[b];
	t->vcpu[b] = c;
	list_add_tail(&t->vcpus_used, &c->used);
	t->nvcpus++;
	return c;
}

/* --- processes --- */

static u32 process_get(struct track *t, u32 child, u64 cr3)
{
	u32 b = process_bucket(child, cr3);
	struct track_process *p;

	for (p = t->process[b]; p; p = p->next)
		if (p->cr3 == cr3 && p->child == child)
			break;
	if (!p) {
		if (t->nprocesses >= TRACK_MAX_PROCESSES) {
			p = list_first(&t->processes_used, struct track_process, used);
			u32 old = process_bucket(p->child, p->cr3);
			for (struct track_process **q = &t->process[old]; *q; q = &(*q)->next)
				if (*q == p) {
					*q = p->next;
					break;
				}
			list_del(&p->used);
			t->nprocesses--;
		} else {
			p = malloc(sizeof(*p));
			if (!p)
				return EVENT_NO_ID;
			list_init(&p->used);
		}
		p->id = EVENT_ID_TRACKED | t->vm << 16 | (t->next_process++ & 0xffff);
		p->child = child;
		p->cr3 = cr3;
		p->next = t->process[b];
		t->process[b] = p;
		t->nprocesses++;
	}
	list_move_tail(&t->processes_used, &p->used);
	return p->id;
}

/* --- what happens --- */

void track_vp_init(struct track_vp *v, struct track *t, struct trace_ctx *ctx, u32 vcpu_id)
{
	*v = (struct track_vp){
		.track = t,
		.ctx = ctx,
		.vcpu_id = vcpu_id,
		.loaded_vmcs = TRACK_NO_VMCS,
		.process = EVENT_NO_ID,
		.runs.thread = EVENT_NO_ID,
	};
	list_add_tail(&t->vps, &v->node);
}

static void park(struct track_vcpu *c)
{
	c->active = false;
	c->active_on = EVENT_NO_ID;
}

void track_vmcs_load(struct track_vp *v, u64 vmcs)
{
	v->loaded_vmcs = vmcs;
}

void track_vmcs_clear(struct track_vp *v, u64 vmcs)
{
	struct track_vcpu *c = vcpu_lookup(v->track, vmcs);

	if (c)
		park(c);
	if (v->loaded_vmcs == vmcs)
		v->loaded_vmcs = TRACK_NO_VMCS;
}

void track_vmx_off(struct track_vp *v)
{
	struct track *t = v->track;
	struct track_vcpu *c, *tmp;

	list_for_each_safe (c, tmp, &t->vcpus_used, used) {
		if (c->active_on == v->vcpu_id || c->active_on == EVENT_NO_ID)
			vcpu_forget(t, c);
	}
	v->loaded_vmcs = TRACK_NO_VMCS;
}

/*
 * Is what is entered still the VM that this region held? A hypervisor that reuses the page for a
 * new VM launches it with another EPT root and another VPID; one that only rebuilds its EPT keeps
 * the VPID.
 */
static bool is_new_identity(const struct track_vcpu *c, u64 root, u16 vpid, bool launch)
{
	return launch && c->child->root != root && c->vpid != vpid;
}

static void note_process(struct track_vp *v, u32 *process, u32 child, u64 cr3)
{
	u32 next = process_get(v->track, child, cr3 & CR3_BASE_PCID);

	if (next == *process)
		return;
	TRANSITION(v->ctx, process_switch, .prev = *process, .next = next, .cr3 = cr3);
	u32 left = *process;
	*process = next;
	if (v->inside && v->active)
		idle_switch(v, &v->active->idle, left, next, EVENT_NO_ID);
	else
		idle_switch(v, &v->idle, left, next, EVENT_NO_ID);
}

static __attribute__((noinline)) void entry_switch(struct track_vp *v, u64 vmcs, u64 root, u16 vpid,
						   bool launch)
{
	struct track *t = v->track;
	struct track_vcpu *prev = v->active;
	struct track_vcpu *c = vcpu_lookup(t, vmcs);

	if (c && is_new_identity(c, root, vpid, launch)) {
		vcpu_forget(t, c);
		c = NULL;
		prev = v->active;
	}
	if (!c) {
		c = vcpu_create(t, v->ctx, vmcs, root, vpid, v->lending);
		if (!c) {
			v->active = NULL;
			return;
		}
	} else if (c->child->root != root) {
		c->child->root = root;
	}
	c->vpid = vpid;
	list_move_tail(&t->vcpus_used, &c->used);
	if (c == prev && c->active)
		return;
	if (prev && prev->active_on == v->vcpu_id)
		park(prev);
	c->active = true;
	c->active_on = v->vcpu_id;
	v->active = c;
	if (c != prev)
		TRANSITION(v->ctx, child_switch, .prev = prev ? prev->id : EVENT_NO_ID,
			   .next = c->id, .prev_child = prev ? prev->child->id : EVENT_NO_ID,
			   .next_child = c->child->id, .vmcs = vmcs);
}

void track_vm_entry(struct track_vp *v, u64 vmcs, u64 eptp, u16 vpid, bool launch, u64 cr3)
{
	u64 root = eptp & EPTP_ROOT;
	struct track_vcpu *c = v->active;

	if (unlikely(!c || c->vmcs != vmcs || !c->active || c->child->root != root || launch)) {
		entry_switch(v, vmcs, root, vpid, launch);
		c = v->active;
		if (!c)
			return;
	}
	if (v->lending == c)
		v->lending = NULL;
	v->inside = true;
	v->ctx->vcpu_id = c->id;
	v->ctx->level = (u8)c->child->depth;
	if (c->idle.halted)
		idle_active(&c->idle);
	if (unlikely(c->cr3 != cr3)) {
		c->cr3 = cr3;
		note_process(v, &c->process, c->child->id, cr3);
	}
	counts_look(v);
}

/* The last exit but those that come while it rests. */
static void note_rest(struct track_vp *v, struct track_vcpu *c, u32 reason)
{
	switch (reason) {
	case EXIT_REASON_HLT: idle_rest(v, &c->idle, IDLE_HLT, c->process, c->runs.thread); break;
	case EXIT_REASON_MWAIT:
		idle_rest(v, &c->idle, IDLE_MWAIT, c->process, c->runs.thread);
		break;
	case EXIT_REASON_PAUSE: idle_pause(v, &c->idle, c->process); break;
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_PREEMPTION_TIMER: break;
	default: idle_active(&c->idle);
	}
}

void track_vm_exit(struct track_vp *v, u32 reason)
{
	if (v->inside && v->active)
		note_rest(v, v->active, reason);
	v->inside = false;
	v->ctx->vcpu_id = v->vcpu_id;
	v->ctx->level = 1;
	if (reason == EXIT_REASON_VMLAUNCH || reason == EXIT_REASON_VMRESUME)
		v->lending = v->active;
	counts_look(v);
}

void track_cr3_load(struct track_vp *v, u64 cr3)
{
	if (v->inside && v->active) {
		v->active->cr3 = cr3;
		note_process(v, &v->active->process, v->active->child->id, cr3);
	} else {
		v->cr3 = cr3;
		note_process(v, &v->process, EVENT_NO_ID, cr3);
	}
	counts_look(v);
}

void track_halt(struct track_vp *v)
{
	if (v->inside && v->active)
		idle_rest(v, &v->active->idle, IDLE_HLT, v->active->process,
			  v->active->runs.thread);
	else
		idle_rest(v, &v->idle, IDLE_HLT, v->process, v->runs.thread);
}

void track_runs(struct track_vp *v)
{
	struct track_idle *i = v->inside && v->active ? &v->active->idle : &v->idle;

	if (i->halted)
		idle_active(i);
}

void track_spin(struct track_vp *v)
{
	if (v->inside && v->active)
		idle_pause(v, &v->active->idle, v->active->process);
	else
		idle_pause(v, &v->idle, v->process);
}

/* --- state-match counters --- */

static struct track_now state_now(const struct track_vp *v)
{
	bool inside = v->inside && v->active;
	const struct track_runs *r = inside ? &v->active->runs : &v->runs;

	return (struct track_now){
		.vm = v->track->vm,
		.level = inside ? v->active->child->depth : 1,
		.child = inside ? v->active->child->id : EVENT_NO_ID,
		.cr3 = (inside ? v->active->cr3 : v->cr3) & CR3_BASE_PCID,
		.thread = r->key,
		.thread_shift = v->track->threads.shift,
		.has_thread = r->thread != EVENT_NO_ID,
	};
}

void track_counts_changed(struct track_vp *v)
{
	const struct track_now now = state_now(v);

	if (v->counts)
		counts_change(v->counts, &now);
	if (!v->fence)
		return;
	bool at_fence = track_match(v->fence, &now);
	if (at_fence && !v->at_fence)
		TRANSITION(v->ctx, fence,
			   .process = v->fence->parts & (MATCH_CR3 | MATCH_STACK)
					      ? v->active->process
					      : EVENT_NO_ID);
	v->at_fence = at_fence;
}

void track_counts_start(struct track_vp *v)
{
	const struct track_now now = state_now(v);

	counts_start(v->counts, &now);
}

void track_counts_stop(struct track_vp *v)
{
	counts_stop(v->counts);
}

u32 track_vcpu_of(const struct track *t, u64 vmcs)
{
	const struct track_vcpu *c = vcpu_lookup(t, vmcs);

	return c ? c->id : EVENT_NO_ID;
}

u32 track_active_vcpu(const struct track_vp *v)
{
	return v->active ? v->active->id : EVENT_NO_ID;
}

u32 track_active_child(const struct track_vp *v)
{
	return v->active ? v->active->child->id : EVENT_NO_ID;
}

void track_destroy(struct track *t)
{
	struct track_vcpu *c, *ctmp;
	struct track_process *p, *ptmp;

	if (!t)
		return;
	list_for_each_safe (c, ctmp, &t->vcpus_used, used)
		vcpu_forget(t, c);
	list_for_each_safe (p, ptmp, &t->processes_used, used) {
		list_del(&p->used);
		free(p);
	}
	threads_fini(t);
	free(t);
}

/* --- state for late readers --- */

static bool is_executing(const struct track *t, const struct track_vcpu *c)
{
	const struct track_vp *v;

	list_for_each (v, &t->vps, node)
		if (v->inside && v->active == c)
			return true;
	return false;
}

u32 track_guests(const struct track *t, struct track_guest *out, u32 max)
{
	u32 n = 0, skip = t->nvcpus > max ? t->nvcpus - max : 0;
	const struct track_vcpu *c;

	list_for_each (c, &t->vcpus_used, used) {
		if (skip) {
			skip--;
			continue;
		}
		if (n == max)
			break;
		out[n++] = (struct track_guest){.id = c->id,
						.index = c->index,
						.child = c->child->id,
						.depth = c->child->depth,
						.vmcs = c->vmcs,
						.root = c->child->root};
	}
	return n;
}

void track_emit_state(struct track *t, struct trace_ctx *ctx)
{
	u32 id = ctx->vcpu_id;
	u8 level = ctx->level;

	for (const struct track_child *c = t->children; c; c = c->next)
		emit_child(t, ctx, c);
	struct track_vcpu *c;
	list_for_each (c, &t->vcpus_used, used) {
		ctx->vcpu_id = c->id;
		ctx->level = (u8)c->child->depth;
		TRANSITION(ctx, vcpu_state, .vm = t->vm, .child = c->child->id, .index = c->index,
			   .parent_vcpu = c->active_on,
			   .state = !c->active		 ? RUN_STATE_PARKED
				    : is_executing(t, c) ? RUN_STATE_RUNNING
							 : RUN_STATE_READY,
			   .vmcs = c->vmcs, .cr3 = c->cr3);
	}
	ctx->vcpu_id = id;
	ctx->level = level;
	struct track_process *p;
	list_for_each (p, &t->processes_used, used)
		TRANSITION(ctx, process_state, .name = event_text(""), .process = p->id,
			   .vm = t->vm, .child = p->child, .cr3 = p->cr3);
	threads_emit_state(t, ctx);
}
