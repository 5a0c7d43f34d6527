/*
 * A failed VM entry, explained as it happens: every check of the group that fails, who wrote the
 * fields, what would pass. Emits entry_failure, entry_failure_field and entry_failure_msr when
 * records are kept; in words with --explain. Cold: parks the guest's vector state.
 */
#include <inttypes.h>
#include <stdio.h>
#include "l0/base/log.h"
#include "l0/exit/exit_priv.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/explain_record.h"

#define WRITER_BYTES 128u

/* "written at rip 0x… by cpu 1, 1234 ns before" */
static const char *writer_text(struct vp *vp, const struct vmcs_writer *w, char *buf)
{
	u64 now = vp->trace ? vp->trace->now(vp->trace) : vp->insns;

	switch (w->how) {
	case FIELD_WRITER_VMWRITE:
		snprintf(buf, WRITER_BYTES,
			 "written at rip 0x%" PRIx64 " by cpu %u, %" PRIu64 " ns ago", w->rip,
			 w->vcpu & 0xffff, now - w->when_ns);
		break;
	case FIELD_WRITER_EXIT:
		snprintf(buf, WRITER_BYTES,
			 "saved by the VM exit at guest rip 0x%" PRIx64 ", %" PRIu64 " ns ago",
			 w->rip, now - w->when_ns);
		break;
	case FIELD_WRITER_MEMORY:
		snprintf(buf, WRITER_BYTES,
			 "stored to the region's memory, found %" PRIu64 " ns ago",
			 now - w->when_ns);
		break;
	default: snprintf(buf, WRITER_BYTES, "never written: what the region held at VMPTRLD");
	}
	return buf;
}

static void emit(struct vp *vp, struct nvmx *nv, const struct explain *e, u32 order)
{
	struct vmcs_writer w = vmcs_record_writer(nv->record, &nv->vmcs12, e->field);

	VP_TRANSITION(vp, entry_failure, .check = e->check, .field = e->field, .value = e->value,
		      .vmcs = nv->current_vmptr, .order = order, .must_set = e->must_set,
		      .must_clear = e->must_clear, .pass_known = e->pass_known,
		      .pass_value = e->pass_value, .writer = w.how, .writer_rip = w.rip,
		      .writer_ns = w.when_ns, .writer_vcpu = w.vcpu);
	for (u32 i = 0; i < e->also_count; i++) {
		const struct explain_field *f = &e->also[i];

		w = vmcs_record_writer(nv->record, &nv->vmcs12, f->field);
		VP_TRANSITION(vp, entry_failure_field, .check = e->check, .field = f->field,
			      .value = f->value, .vmcs = nv->current_vmptr,
			      .pass_value = f->pass_value, .writer = w.how, .writer_rip = w.rip,
			      .writer_ns = w.when_ns, .writer_vcpu = w.vcpu);
	}
	if (e->msr.entry)
		VP_TRANSITION(vp, entry_failure_msr, .vmcs = nv->current_vmptr,
			      .entry = e->msr.entry, .address = e->msr.at,
			      .is_memory = e->msr.is_memory, .msr = e->msr.msr,
			      .reserved = e->msr.reserved, .value = e->msr.value);
}

static void say(struct vp *vp, struct nvmx *nv, const struct explain *e, u32 order)
{
	struct vmcs_writer w = vmcs_record_writer(nv->record, &nv->vmcs12, e->field);
	char text[EXPLAIN_TEXT_BYTES], writer[WRITER_BYTES], msr[EXPLAIN_MSR_BYTES];

	if (!order)
		log_write(LOG_EXIT,
			  "cpu %u: VM entry at rip 0x%" PRIx64 " with vmcs 0x%" PRIx64 " failed:",
			  nv->index, nv->entry_rip, nv->current_vmptr);
	log_write(LOG_EXIT, "  %s; %s", explain_text(e, text), writer_text(vp, &w, writer));
	if (e->msr.entry)
		log_write(LOG_EXIT, "    %s", explain_msr_text(&e->msr, msr));
	for (u32 i = 0; i < e->also_count; i++) {
		w = vmcs_record_writer(nv->record, &nv->vmcs12, e->also[i].field);
		log_write(LOG_EXIT, "    or %s = 0x%" PRIx64 " instead of 0x%" PRIx64 "; %s",
			  vmcs_field_name(e->also[i].field), e->also[i].pass_value,
			  e->also[i].value, writer_text(vp, &w, writer));
	}
}

void explain_entry_failure(struct vp *vp, struct nvmx *nv, const struct check_ctx *c, u32 id)
{
	u32 group = check_table[id].group, order = 0;
	struct explain e;

	vp_vec_park(vp);
	for (u32 i = id; i < CHECK_COUNT && check_table[i].group == group; i++) {
		/* those of the MSR list are no predicates: only the one that failed is known */
		if (i != id && (group == CHECK_GROUP_MSR || check_passes(c, i)))
			continue;
		explain_check(c, i, &e);
		emit(vp, nv, &e, order);
		if (nv->explains)
			say(vp, nv, &e, order);
		order++;
	}
}

void explain_say_misuse(struct vp *vp, struct nvmx *nv, u64 vmptr, const struct vmcs_misuse *m)
{
	const char *field = vmcs_field_name((u32)m->field);

	/* the first of a kind; all are in the trace */
	if (!nv->explains || (nv->misuse_said >> m->kind & 1))
		return;
	nv->misuse_said |= (u8)(1u << m->kind);
	vp_vec_park(vp);
	switch (m->kind) {
	case VMX_MISUSE_ACTIVE_TWICE:
	case VMX_MISUSE_NO_VMCLEAR:
		log_write(LOG_EXIT,
			  "cpu %u: VMPTRLD of vmcs 0x%" PRIx64 " at rip 0x%" PRIx64
			  ", active on cpu %u: %s",
			  nv->index, vmptr, vp->cpu.rip, m->other_vcpu & 0xffff,
			  explain_misuse(m->kind));
		break;
	case VMX_MISUSE_UNSUPPORTED_FIELD:
		log_write(LOG_EXIT, "cpu %u: field 0x%" PRIx64 " (%s) at rip 0x%" PRIx64 ": %s",
			  nv->index, m->field, field ? field : "no field", vp->cpu.rip,
			  explain_misuse(m->kind));
		break;
	default:
		log_write(LOG_EXIT,
			  "cpu %u: vmcs 0x%" PRIx64 " at rip 0x%" PRIx64 ": %s 0x%" PRIx64
			  ", not 0x%" PRIx64 ": %s",
			  nv->index, vmptr, vp->cpu.rip,
			  m->kind == VMX_MISUSE_MEMORY_WRITTEN && field ? field : "revision",
			  m->value, m->expected, explain_misuse(m->kind));
	}
}
