/*
 * Threads: virtual processors (1 and up), and the vCPUs of their guests (GDB_GUEST_THREAD and up,
 * from their numbers in events). A thread is live while its processor executes it. One that is not
 * has the registers that its VMM would enter it with (vmcs12): general registers but RSP, and
 * vector registers, are the VMM's to keep, so they are not known. A processor whose guest runs
 * shows
 * where its own code will go on: the host state of the current VMCS.
 *
 * Memory goes through the thread's own CR3 and, for a guest, ept12; nothing is taken to be mapped
 * one to one.
 */
#include <stdio.h>
#include <string.h>

#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/gdb/gdb_priv.h"
#include "l0/mem/mem.h"
#include "shadow-vmcs/vmcs02.h"
#include "shadow-vmcs/vmcs12.h"

#define GUESTS_MAX 256u /* a machine */

u64 gdb_thread_of_vp(const struct gdb *g, u32 index)
{
	const struct gdb_cpu *c = &g->cpus[index];
	u32 id = c->vp->in_l2 && c->track->inside ? track_active_vcpu(c->track) : EVENT_NO_ID;

	return id == EVENT_NO_ID ? index + 1 : GDB_GUEST_THREAD + (id & ~EVENT_ID_TRACKED);
}

/* Is this the first processor of its machine in the list? Guests belong to machines. */
static bool is_first_of_machine(const struct gdb *g, u32 i)
{
	return i == 0 || g->cpus[i].track->track != g->cpus[i - 1].track->track;
}

static bool find_guest(const struct gdb *g, u64 thread, struct track_guest *out, u32 *cpu)
{
	static struct track_guest guests[GUESTS_MAX];

	for (u32 i = 0; i < g->ncpus; i++) {
		u32 n;

		if (!is_first_of_machine(g, i))
			continue;
		n = track_guests(g->cpus[i].track->track, guests, GUESTS_MAX);
		for (u32 k = 0; k < n; k++)
			if (GDB_GUEST_THREAD + (guests[k].id & ~EVENT_ID_TRACKED) == thread) {
				*out = guests[k];
				*cpu = i;
				return true;
			}
	}
	return false;
}

u32 gdb_threads(const struct gdb *g, u64 *out, u32 max)
{
	static struct track_guest guests[GUESTS_MAX];
	u32 n = 0;

	for (u32 i = 0; i < g->ncpus && n < max; i++)
		out[n++] = i + 1;
	for (u32 i = 0; i < g->ncpus; i++) {
		u32 have = is_first_of_machine(g, i)
				   ? track_guests(g->cpus[i].track->track, guests, GUESTS_MAX)
				   : 0;

		for (u32 k = 0; k < have && n < max; k++)
			out[n++] = GDB_GUEST_THREAD + (guests[k].id & ~EVENT_ID_TRACKED);
	}
	return n;
}

bool gdb_thread_exists(const struct gdb *g, u64 thread)
{
	struct track_guest guest;
	u32 cpu;

	return (thread >= 1 && thread <= g->ncpus) || find_guest(g, thread, &guest, &cpu);
}

/* The processor that executes @thread now, or ncpus. */
static u32 executing(const struct gdb *g, u64 thread)
{
	u32 i = 0;

	while (i < g->ncpus && gdb_thread_of_vp(g, i) != thread)
		i++;
	return i;
}

void gdb_thread_name(const struct gdb *g, u64 thread, char *buf, size_t bytes)
{
	struct track_guest guest;
	u32 cpu, on = executing(g, thread);
	char where[32] = "";

	if (thread >= 1 && thread <= g->ncpus) {
		const struct gdb_cpu *c = &g->cpus[thread - 1];

		snprintf(buf, bytes, "%s%s", c->name,
			 c->vp->in_l2	       ? ", runs a guest"
			 : c->vp->cpu.activity ? ", halted"
					       : "");
		return;
	}
	if (!find_guest(g, thread, &guest, &cpu)) {
		snprintf(buf, bytes, "gone");
		return;
	}
	if (on < g->ncpus)
		snprintf(where, sizeof(where), ", on processor %u", g->cpus[on].vp->id);
	snprintf(buf, bytes, "%s child %u.%u vcpu %u, level %u, vmcs 0x%llx%s",
		 g->cpus[cpu].machine, guest.child >> 16 & 0x7fff, guest.child & 0xffff,
		 guest.index, guest.depth, (unsigned long long)guest.vmcs, where);
}

/* --- views ---------------------------------------------------------------------------------------
 */

/* The copy of whoever has it as its current VMCS, else memory. */
static bool read_vmcs(struct gdb *g, u32 cpu, u64 vmcs, struct vmcs12 *v)
{
	for (u32 i = 0; i < g->ncpus; i++)
		if (g->cpus[i].track->track == g->cpus[cpu].track->track && g->cpus[i].vp->vmxon &&
		    g->cpus[i].nv->current_vmptr == vmcs) {
			*v = g->cpus[i].nv->vmcs12;
			return true;
		}
	return !vmcs12_load(v, g->cpus[cpu].vp->mem, vmcs);
}

bool gdb_vmcs12(struct gdb *g, u64 thread, struct vmcs12 *v)
{
	struct track_guest guest;
	u32 cpu;

	if (thread >= 1 && thread <= g->ncpus) {
		const struct gdb_cpu *c = &g->cpus[thread - 1];

		if (!c->vp->vmxon || c->nv->current_vmptr == VMX_NO_POINTER)
			return false;
		*v = c->nv->vmcs12;
		return true;
	}
	return find_guest(g, thread, &guest, &cpu) && read_vmcs(g, cpu, guest.vmcs, v);
}

/* Paging as @cpu has it; with EPT the PDPTEs are fields, without they lie in memory. */
static void set_context(struct gdb_view *view, u64 eptp, bool mbec)
{
	const struct cpu_state *c = view->cpu;
	struct vtlb_context *ctx = &view->tlb.ctx;

	*ctx = (struct vtlb_context){.cr0 = c->cr0,
				     .cr3 = c->cr3,
				     .cr4 = c->cr4,
				     .efer = c->efer,
				     .pdpte = {c->pdpte[0], c->pdpte[1], c->pdpte[2], c->pdpte[3]},
				     .eptp = eptp,
				     .mbec = mbec};
	if (vmcs02_is_pae(c) && !eptp &&
	    mem_read(view->vp->mem, c->cr3 & 0xffffffe0u, ctx->pdpte, sizeof(ctx->pdpte)))
		memset(ctx->pdpte, 0, sizeof(ctx->pdpte));
}

static void view_guest(struct gdb_view *view, const struct vmcs12 *v)
{
	static struct cpu_state cpu;
	u32 proc2 =
		v->cpu_based_vm_exec_control & PROC_SECONDARY ? v->secondary_vm_exec_control : 0;

	memset(&cpu, 0, sizeof(cpu));
	vmcs02_load_guest(&cpu, v);
	cpu.gpr[RSP] = v->guest_rsp;
	view->cpu = &cpu;
	set_context(view, proc2 & PROC2_EPT ? v->ept_pointer : 0, proc2 & PROC2_MODE_BASED_EPT);
}

/* Where L1 goes on after the exit that comes. */
static void view_host(struct gdb_view *view, const struct vmcs12 *v)
{
	static struct cpu_state cpu;

	cpu = view->vp->cpu;
	vmcs02_load_host(&cpu, v, false);
	view->cpu = &cpu;
	set_context(view, 0, false);
}

bool gdb_view(struct gdb *g, u64 thread, struct gdb_view *view)
{
	u32 on = executing(g, thread), cpu;
	struct track_guest guest;
	struct vmcs12 v;

	if (on < g->ncpus) {
		view->vp = g->cpus[on].vp;
		view->live = true;
		view->cpu = &view->vp->cpu;
		view->tlb = view->vp->tlb;
		return true;
	}
	view->live = false;
	if (thread >= 1 && thread <= g->ncpus) {
		view->vp = g->cpus[thread - 1].vp;
		view->tlb = view->vp->tlb;
		view_host(view, &g->cpus[thread - 1].nv->vmcs12);
		return true;
	}
	if (!find_guest(g, thread, &guest, &cpu) || !read_vmcs(g, cpu, guest.vmcs, &v))
		return false;
	view->vp = g->cpus[cpu].vp;
	view->tlb = view->vp->tlb;
	view_guest(view, &v);
	return true;
}
