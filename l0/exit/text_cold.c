/*
 * The exit layer's words: why a machine stopped, unknown MSRs, failed checks, the dump of a
 * processor. Cold: parks the guest's vector state before it calls libc.
 */
#include <inttypes.h>
#include <time.h>
#include "l0/base/log.h"
#include "l0/exit/exit_priv.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/vmcs12.h"

static const char *const reason_text[EXIT_REASON_COUNT] = {
#define EXIT_REASON(number, name, text, ...) [number] = text,
#include "l0/arch/exit_reasons.def"
#undef EXIT_REASON
};

static const char *reason_name(u32 reason)
{
	reason &= 0xffff;
	return reason < EXIT_REASON_COUNT && reason_text[reason] ? reason_text[reason] : "unknown";
}

u64 exit_host_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

void exit_stop_text(struct vp *vp, struct nvmx *nv, const char *text)
{
	vp_vec_park(vp);
	snprintf(nv->stop_text, sizeof(nv->stop_text), "%s: exit %u (%s) of %s at rip 0x%" PRIx64,
		 text, vp->exit.reason & 0xffff, reason_name(vp->exit.reason),
		 vp->in_l2 ? "L2" : "L1", vp->cpu.rip);
}

const char *exit_abort_text(struct vp *vp, struct nvmx *nv, u32 cause, u32 bad, char *buf)
{
	bool stores = cause == VMX_ABORT_SAVE_MSR;
	const struct vmcs12 *v = &nv->vmcs12;
	u64 at = (stores ? v->vm_exit_msr_store_addr : v->vm_exit_msr_load_addr) +
		 (u64)(bad - 1) * sizeof(struct vmx_msr_entry);
	struct vmx_msr_entry e;
	int n;

	vp_vec_park(vp);
	if (cause == VMX_ABORT_LOAD_PDPTE) {
		snprintf(buf, EXIT_ABORT_BYTES,
			 "VMX abort %u: reserved bits in the PDPTEs at the host's CR3 0x%" PRIx64,
			 cause, v->host_cr3);
		return buf;
	}
	n = snprintf(buf, EXIT_ABORT_BYTES,
		     "VMX abort %u: entry %u of the VM-exit MSR-%s list, at 0x%" PRIx64, cause, bad,
		     stores ? "store" : "load", at);
	if (bad > VMX_MSR_LIST_MAX)
		snprintf(buf + n, EXIT_ABORT_BYTES - (size_t)n, ", more than IA32_VMX_MISC allows");
	else if (mem_read(vp->mem, at, &e, sizeof(e)))
		snprintf(buf + n, EXIT_ABORT_BYTES - (size_t)n, ", where no memory is");
	else
		snprintf(buf + n, EXIT_ABORT_BYTES - (size_t)n, ": MSR 0x%x, value 0x%llx", e.index,
			 e.value);
	return buf;
}

/* Told once for each number and VP; when the list is full nothing more is said. */
void exit_report_msr(struct vp *vp, struct nvmx *nv, u32 msr, bool write, u64 value)
{
	for (u32 i = 0; i < nv->reported_count; i++)
		if (nv->reported_msr[i] == msr)
			return;
	if (nv->reported_count == NVMX_REPORTED_MSRS)
		return;
	nv->reported_msr[nv->reported_count++] = msr;
	vp_vec_park(vp);
	if (nv->hooks->unknown_msr)
		nv->hooks->unknown_msr(vp, msr, write, value);
}

void exit_report_event(struct vp *vp, struct nvmx *nv, u32 event)
{
	if (nv->told_uncounted)
		return;
	nv->told_uncounted = true;
	vp_vec_park(vp);
	if (nv->hooks->uncounted_event)
		nv->hooks->uncounted_event(vp, event);
}

void exit_report_check(struct vp *vp, struct nvmx *nv, const struct check_ctx *c, u32 id)
{
	char line[EXPLAIN_TEXT_BYTES];

	if (!log_is_on(LOG_EXIT))
		return;
	vp_vec_park(vp);
	check_explain(c, id, line, sizeof(line));
	log_write(LOG_EXIT, "cpu %u: VM entry at rip 0x%" PRIx64 " with vmcs 0x%" PRIx64 ": %s",
		  nv->index, vp->cpu.rip, nv->current_vmptr, line);
}

/* --- dump ---------------------------------------------------------------------------------------
 */

static void dump_registers(const struct cpu_state *c, FILE *out)
{
	static const char *const name[] = {"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
					   "r8",  "r9",	 "r10", "r11", "r12", "r13", "r14", "r15"};

	for (u32 i = 0; i < GPR_COUNT; i++)
		fprintf(out, "  %-3s %016" PRIx64 "%s", name[i], c->gpr[i], i % 4 == 3 ? "\n" : "");
	fprintf(out,
		"  rip %016" PRIx64 "  rflags %08" PRIx64
		"  activity %u  blocking %x  pending-db %" PRIx64 "\n",
		c->rip, c->rflags, c->activity, c->interruptibility, c->pending_dbg);
}

static void dump_segments(const struct cpu_state *c, FILE *out)
{
	static const char *const name[] = {"es", "cs", "ss", "ds", "fs", "gs", "ldtr", "tr"};

	for (u32 i = 0; i < SEG_COUNT; i++) {
		const struct seg *s = &c->seg[i];

		fprintf(out, "  %-4s %04x base %016" PRIx64 " limit %08x ar %05x%s\n", name[i],
			s->sel, s->base, s->limit, s->ar,
			s->ar & SEG_AR_UNUSABLE ? " unusable" : "");
	}
	fprintf(out,
		"  gdtr base %016" PRIx64 " limit %04x   idtr base %016" PRIx64 " limit %04x\n",
		c->gdtr.base, c->gdtr.limit, c->idtr.base, c->idtr.limit);
}

static void dump_control(const struct cpu_state *c, FILE *out)
{
	fprintf(out,
		"  cr0 %08" PRIx64 "  cr2 %016" PRIx64 "  cr3 %016" PRIx64 "  cr4 %08" PRIx64
		"  cr8 %" PRIx64 "  efer %" PRIx64 "\n",
		c->cr0, c->cr2, c->cr3, c->cr4, c->cr8, c->efer);
	fprintf(out,
		"  dr0-3 %" PRIx64 " %" PRIx64 " %" PRIx64 " %" PRIx64 "  dr6 %" PRIx64
		"  dr7 %" PRIx64 "\n",
		c->dr[0], c->dr[1], c->dr[2], c->dr[3], c->dr[6], c->dr[7]);
}

static void dump_exit(const struct vp *vp, FILE *out)
{
	const struct vmexit *e = &vp->exit;

	fprintf(out,
		"last exit: %u (%s)  qualification %" PRIx64
		"  length %u  information %x  interruption %x error %x\n"
		"  vectoring %x error %x  linear %" PRIx64 "  physical %" PRIx64
		"  operand at %" PRIx64 "\n",
		e->reason & 0xffff, reason_name(e->reason), e->qualification, e->insn_len,
		e->insn_info, e->intr_info, e->intr_error, e->idt_vectoring_info,
		e->idt_vectoring_error, e->gla, e->gpa, e->operand_gva);
}

static void dump_controls(const char *title, const struct vmx_controls *c, FILE *out)
{
	fprintf(out,
		"%s: pin %08x  proc %08x  proc2 %08x  exceptions %08x  #PF mask %x match %x\n"
		"  cr0 mask %" PRIx64 " shadow %" PRIx64 "  cr4 mask %" PRIx64 " shadow %" PRIx64
		"\n"
		"  eptp %" PRIx64 "  vpid %u  tsc offset %" PRIx64 "  bitmaps: I/O %s, MSR %s\n",
		title, c->pin, c->proc, c->proc2, c->exception_bitmap, c->pf_error_mask,
		c->pf_error_match, c->cr0_mask, c->cr0_shadow, c->cr4_mask, c->cr4_shadow, c->eptp,
		c->vpid, c->tsc_offset, c->io_bitmap_a ? "yes" : "no",
		c->msr_bitmap ? "yes" : "no");
}

/* Every field of the current VMCS that is not zero. */
static void dump_vmcs12(const struct nvmx *nv, FILE *out)
{
	u32 column = 0;

	fprintf(out, "vmcs12 at 0x%" PRIx64 ", %s, fields that are not 0:\n", nv->current_vmptr,
		nv->vmcs12.launch_state == VMCS12_LAUNCHED ? "launched" : "clear");
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];
		u64 value = 0;

		if (!vmcs12_peek(&nv->vmcs12, f->encoding, &value) || !value)
			continue;
		fprintf(out, "  %-30s %16" PRIx64 "%s", f->name, value, ++column % 2 ? "" : "\n");
	}
	if (column % 2)
		fputc('\n', out);
}

static void dump_nested(struct vp *vp, struct nvmx *nv, FILE *out)
{
	fprintf(out, "VMX operation %s, running %s, vmxon region 0x%" PRIx64 "\n",
		vp->vmxon ? "on" : "off", vp->in_l2 ? "L2" : "L1", nv->vmxon_ptr);
	fprintf(out,
		"nested entries %" PRIu64 ", failed %" PRIu64 ", failed VMX instructions %" PRIu64
		"\n",
		nv->count.entries, nv->count.entry_failures, nv->count.insn_failures);
	dump_controls("vmcs01", &nv->ctl01, out);
	if (nv->last_error)
		fprintf(out, "last VM-instruction error: %u\n", nv->last_error);
	if (nv->last_check)
		fprintf(out, "last failed entry check: %s: %s\n", check_table[nv->last_check].name,
			check_table[nv->last_check].rule);
	if (nv->current_vmptr == VMX_NO_POINTER) {
		fprintf(out, "no current VMCS\n");
		return;
	}
	dump_controls("vmcs02", vp->in_l2 ? &vp->ctl : &nv->ctl02, out);
	dump_vmcs12(nv, out);
}

void exit_dump(struct vp *vp, struct nvmx *nv, FILE *out)
{
	vp_vec_park(vp);
	fprintf(out, "cpu %u: %s%s%s, %" PRIu64 " instructions\n", nv->index,
		vp->in_l2 ? "L2" : "L1", nv->stop_text[0] ? ": " : "", nv->stop_text, vp->insns);
	dump_registers(&vp->cpu, out);
	dump_segments(&vp->cpu, out);
	dump_control(&vp->cpu, out);
	dump_exit(vp, out);
	dump_nested(vp, nv, out);
	if (nv->hooks->dump_events)
		nv->hooks->dump_events(vp, out);
}
