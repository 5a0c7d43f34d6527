/*
 * Stops that come from transitions. Reached between exit and re-entry: general registers only, no
 * libc.
 */
#include "l0/base/mem_ops.h"
#include "l0/gdb/gdb_priv.h"

bool gdb_stop_once(struct gdb *g, u64 thread, u32 signal)
{
	bool first = false;

	while (__atomic_exchange_n(&g->lock, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
	if (!g->stopped) {
		g->thread = thread;
		g->signal = signal;
		g->step_thread = 0;
		g->is_caught = false;
		__atomic_store_n(&g->stopped, true, __ATOMIC_RELEASE);
		first = true;
	}
	__atomic_store_n(&g->lock, 0, __ATOMIC_RELEASE);
	return first;
}

static bool matches(const struct gdb_catch *c, const struct transition *t)
{
	if (c->level != CATCH_ANY && c->level != t->level)
		return false;
	switch (c->kind) {
	case CATCH_EXIT:
		return t->kind == TRANSITION_vm_exit &&
		       (c->reason == CATCH_ANY ||
			c->reason == (u32)transition_payload(t, vm_exit)->exit_reason);
	case CATCH_ENTRY: return t->kind == TRANSITION_vm_entry;
	case CATCH_VMPTRLD: return t->kind == TRANSITION_vmcs_load;
	case CATCH_FAILED_ENTRY:
		return t->kind == TRANSITION_entry_failure &&
		       !transition_payload(t, entry_failure)->order;
	case CATCH_VMFAIL: return t->kind == TRANSITION_vm_insn_fail;
	}
	return false;
}

/* The processor that @t is about. */
static u32 cpu_of(const struct gdb *g, u32 vcpu)
{
	for (u32 i = 0; i < g->ncpus; i++)
		if (g->cpus[i].track->vcpu_id == vcpu ||
		    track_active_vcpu(g->cpus[i].track) == vcpu)
			return i;
	return 0;
}

void gdb_on_transition(struct gdb *g, const struct transition *t)
{
	if (likely(!g->ncatches) || g->fd < 0)
		return;
	for (u32 i = 0; i < g->ncatches; i++) {
		u32 cpu;

		if (!matches(&g->catch[i], t))
			continue;
		cpu = cpu_of(g, t->vcpu_id);
		if (gdb_stop_once(g,
				  t->vcpu_id >= EVENT_ID_TRACKED
					  ? GDB_GUEST_THREAD + (t->vcpu_id & ~EVENT_ID_TRACKED)
					  : cpu + 1,
				  GDB_SIGNAL_TRAP)) {
			nm_copy(&g->caught, t, sizeof(*t));
			g->is_caught = true;
		}
		vp_request(g->cpus[cpu].vp, VP_ATTN_REQUEST);
		return;
	}
}
