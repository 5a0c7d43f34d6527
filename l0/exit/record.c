/*
 * What L0 remembers of the VMCSs of a machine, for explanations: when to note what. The records
 * themselves are shadow-vmcs/explain_record.h. Emits vmx_misuse, here only.
 */
#include "l0/exit/exit_priv.h"
#include "shadow-vmcs/explain_record.h"
#include "shadow-vmcs/vmcs12.h"

static u64 now(const struct vp *vp)
{
	return vp->trace ? vp->trace->now(vp->trace) : vp->insns;
}

/* Where the engine notes writers. */
static void set_record(struct vp *vp, struct nvmx *nv, struct vmcs_record *rec)
{
	nv->record = rec;
	nv->ctl01.field_writers = rec ? rec->writer : NULL;
	if (!vp->in_l2)
		vp->ctl.field_writers = nv->ctl01.field_writers;
}

static void report(struct vp *vp, struct nvmx *nv, u64 vmptr, const struct vmcs_misuse *m)
{
	if (!m->kind)
		return;
	exit_emit(vp, nv, false);
	VP_TRANSITION(vp, vmx_misuse, .kind = m->kind, .vmcs = vmptr, .other_vcpu = m->other_vcpu,
		      .field = m->field, .value = m->value, .expected = m->expected,
		      .guest_rip = vp->cpu.rip);
	explain_say_misuse(vp, nv, vmptr, m);
}

void exit_set_records(struct vp *vp, struct nvmx *nv, struct vmcs_records *records, u32 vcpu,
		      bool explains)
{
	nv->records = records;
	nv->record_vcpu = vcpu;
	nv->explains = explains;
	set_record(vp, nv, NULL);
}

void record_load(struct vp *vp, struct nvmx *nv)
{
	struct vmcs_misuse found[VMCS_MISUSES];

	set_record(vp, nv,
		   vmcs_record_load(nv->records, nv->current_vmptr, &nv->vmcs12, nv->record_vcpu,
				    now(vp), found));
	for (u32 i = 0; i < VMCS_MISUSES; i++)
		report(vp, nv, nv->current_vmptr, &found[i]);
}

void record_release(struct vp *vp, struct nvmx *nv)
{
	struct vmcs_misuse found[VMCS_MISUSES];
	struct vmcs12 memory;

	if (!vmcs12_load(&memory, vp->mem, nv->current_vmptr)) {
		vmcs_record_release(nv->records, nv->record, &memory, &nv->vmcs12, nv->record_vcpu,
				    found);
		for (u32 i = 0; i < VMCS_MISUSES; i++)
			report(vp, nv, nv->current_vmptr, &found[i]);
	}
	set_record(vp, nv, NULL);
}

void record_clear(struct nvmx *nv, u64 vmptr)
{
	vmcs_record_clear(nv->records, vmptr, nv->record_vcpu);
}

void record_reset(struct nvmx *nv)
{
	vmcs_records_reset(nv->records, nv->record_vcpu);
}

void record_vmwrite(struct vp *vp, struct nvmx *nv, u64 encoding)
{
	vmcs_record_write(nv->record, (u32)encoding, vp->cpu.rip, nv->record_vcpu, now(vp),
			  FIELD_WRITER_VMWRITE);
}

void record_exit(struct vp *vp, struct nvmx *nv)
{
	nv->record->exit_rip = vp->cpu.rip;
	nv->record->exit_ns = now(vp);
	nv->record->exit_vcpu = nv->record_vcpu;
}

void record_insn_failure(struct vp *vp, struct nvmx *nv, u32 error, u64 operand)
{
	struct vmcs_misuse m = {.other_vcpu = EVENT_NO_ID};
	u64 vmptr = nv->current_vmptr;

	/* a field that another model has; what no processor has is a plain error */
	if (error == VMXERR_UNSUPPORTED_COMPONENT && vmcs12_offset_of(operand & ~(u64)VMCS_HIGH)) {
		m.kind = VMX_MISUSE_UNSUPPORTED_FIELD;
		m.field = operand;
	} else if (error == VMXERR_VMPTRLD_WRONG_REVISION) {
		u32 revision = ~0u; /* what is not RAM reads as that */

		(void)mem_read(vp->mem, operand, &revision, sizeof(revision));
		m.kind = VMX_MISUSE_WRONG_REVISION;
		m.value = revision;
		m.expected = VMCS12_REVISION;
		vmptr = operand;
	}
	report(vp, nv, vmptr, &m);
}
