#include "shadow-vmcs/explain_record.h"
#include "l0/arch/events.h"
#include "l0/arch/vmx.h"
#include "l0/base/mem_ops.h"
#include "shadow-vmcs/explain_record_priv.h"
#include "shadow-vmcs/vmcs12.h"

static void lock(struct vmcs_records *r)
{
	while (__atomic_exchange_n(&r->lock, 1, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void unlock(struct vmcs_records *r)
{
	__atomic_store_n(&r->lock, 0, __ATOMIC_RELEASE);
}

static struct vmcs_record *find(struct vmcs_records *r, u64 vmptr)
{
	for (u32 i = 0; i < r->count; i++)
		if (r->rec[i].vmptr == vmptr)
			return &r->rec[i];
	return NULL;
}

/* A free record, or the one that is current nowhere and was loaded longest ago. There are more
 * records than processors. */
static struct vmcs_record *make(struct vmcs_records *r, u64 vmptr)
{
	struct vmcs_record *oldest = NULL;

	for (u32 i = 0; i < r->count; i++) {
		struct vmcs_record *rec = &r->rec[i];

		if (rec->current_on == EVENT_NO_ID && (!oldest || rec->used < oldest->used))
			oldest = rec;
	}
	nm_zero(oldest, sizeof(*oldest));
	oldest->vmptr = vmptr;
	oldest->active_on = oldest->current_on = EVENT_NO_ID;
	return oldest;
}

/* Which fields of memory are not what L0 left or read there; unless it is FIELD_WRITER_UNKNOWN,
 * @how becomes how they got their values. Of a shadow VMCS nothing can be said: VMWRITEs of a guest
 * go to its memory. Return: encoding of the first, NO_FIELD: none. */
#define NO_FIELD (~0u)
static u32 compare(struct vmcs_record *rec, const struct vmcs12 *memory, u32 how, u32 vcpu,
		   u64 now_ns)
{
	u32 first = NO_FIELD;

	if ((memory->revision_id & VMCS12_SHADOW_INDICATOR) ||
	    nm_equal(&rec->image.launch_state, &memory->launch_state,
		     sizeof(*memory) - offsetof(struct vmcs12, launch_state)))
		return first;
	for (u32 i = 0; i < vmcs_field_count; i++) {
		u32 e = vmcs_field_table[i].encoding;
		u64 was, is;

		if (!vmcs12_peek(&rec->image, e, &was) || !vmcs12_peek(memory, e, &is) || was == is)
			continue;
		if (how != FIELD_WRITER_UNKNOWN)
			vmcs_record_write(rec, e, 0, vcpu, now_ns, how);
		if (first == NO_FIELD)
			first = e;
	}
	return first;
}

static void note_memory(struct vmcs_record *rec, const struct vmcs12 *memory, u32 field,
			struct vmcs_misuse *found)
{
	found->kind = VMX_MISUSE_MEMORY_WRITTEN;
	found->other_vcpu = EVENT_NO_ID;
	found->field = field;
	vmcs12_peek(memory, field, &found->value);
	vmcs12_peek(&rec->image, field, &found->expected);
}

struct vmcs_record *vmcs_record_load(struct vmcs_records *r, u64 vmptr, const struct vmcs12 *v,
				     u32 vcpu, u64 now_ns, struct vmcs_misuse *found)
{
	struct vmcs_record *rec;
	bool is_active;
	u32 field;

	nm_zero(found, VMCS_MISUSES * sizeof(*found));
	lock(r);
	rec = find(r, vmptr);
	if (!rec)
		rec = make(r, vmptr);
	is_active = rec->active_on != EVENT_NO_ID;
	if (is_active && rec->active_on != vcpu) {
		found[0].kind = rec->current_on == rec->active_on ? VMX_MISUSE_ACTIVE_TWICE
								  : VMX_MISUSE_NO_VMCLEAR;
		found[0].other_vcpu = rec->active_on;
	}
	/* one that is current elsewhere has not been flushed: memory says nothing */
	if (!rec->has_image) {
		for (u32 i = 0; i < VMCS_FIELDS; i++)
			rec->writer[i] = (struct vmcs_writer){
				.how = FIELD_WRITER_REGION, .when_ns = now_ns, .vcpu = vcpu};
	} else if (rec->current_on == EVENT_NO_ID) {
		field = compare(rec, v, is_active ? FIELD_WRITER_MEMORY : FIELD_WRITER_REGION, vcpu,
				now_ns);
		if (is_active && field != NO_FIELD)
			note_memory(rec, v, field, &found[1]);
	}
	nm_copy(&rec->image, v, sizeof(*v));
	rec->has_image = true;
	rec->active_on = rec->current_on = vcpu;
	rec->used = ++r->loads;
	unlock(r);
	return rec;
}

void vmcs_record_release(struct vmcs_records *r, struct vmcs_record *rec,
			 const struct vmcs12 *memory, const struct vmcs12 *flushed, u32 vcpu,
			 struct vmcs_misuse *found)
{
	u32 field;

	nm_zero(found, VMCS_MISUSES * sizeof(*found));
	lock(r);
	if (rec->current_on == vcpu) {
		/* what the flush now covers gives no field its value */
		field = compare(rec, memory, FIELD_WRITER_UNKNOWN, vcpu, 0);
		if (field != NO_FIELD)
			note_memory(rec, memory, field, &found[0]);
		nm_copy(&rec->image, flushed, sizeof(*flushed));
		rec->current_on = EVENT_NO_ID;
	}
	unlock(r);
}

void vmcs_record_clear(struct vmcs_records *r, u64 vmptr, u32 vcpu)
{
	struct vmcs_record *rec;

	lock(r);
	rec = find(r, vmptr);
	if (rec && rec->active_on == vcpu && rec->current_on != vcpu)
		rec->active_on = EVENT_NO_ID;
	unlock(r);
}

void vmcs_records_reset(struct vmcs_records *r, u32 vcpu)
{
	lock(r);
	for (u32 i = 0; i < r->count; i++) {
		struct vmcs_record *rec = &r->rec[i];

		if (rec->active_on == vcpu)
			rec->active_on = EVENT_NO_ID;
		if (rec->current_on == vcpu)
			rec->current_on = EVENT_NO_ID;
	}
	unlock(r);
}

/* Does a VM exit from @v save the field? SDM 3C "Saving Guest State". */
static bool is_saved_by_exit(const struct vmcs12 *v, u32 encoding)
{
	switch (encoding) {
	case VMCS_VMCS_LINK_POINTER:
	case VMCS_GUEST_INTR_STATUS: return false;
	case VMCS_GUEST_IA32_EFER: return v->vm_exit_controls & EXIT_CTL_SAVE_EFER;
	case VMCS_GUEST_IA32_PAT: return v->vm_exit_controls & EXIT_CTL_SAVE_PAT;
	case VMCS_GUEST_DR7:
	case VMCS_GUEST_IA32_DEBUGCTL: return v->vm_exit_controls & EXIT_CTL_SAVE_DEBUG;
	case VMCS_VMX_PREEMPTION_TIMER_VALUE:
		return v->vm_exit_controls & EXIT_CTL_SAVE_PREEMPTION_TIMER;
	case VMCS_VM_ENTRY_INTR_INFO_FIELD: return true; /* its bit 31 is cleared */
	case VMCS_VM_ENTRY_CONTROLS: return false;
	default: return VMCS_ENCODING_CLASS(encoding) == VMCS_CLASS_GUEST;
	}
}

struct vmcs_writer vmcs_record_writer(const struct vmcs_record *rec, const struct vmcs12 *v,
				      u32 encoding)
{
	struct vmcs_writer w = rec->writer[vmcs12_number[VMCS12_KEY(encoding & ~VMCS_HIGH)]];

	if (rec->exit_ns >= w.when_ns && rec->exit_ns && is_saved_by_exit(v, encoding))
		w = (struct vmcs_writer){.rip = rec->exit_rip,
					 .when_ns = rec->exit_ns,
					 .vcpu = rec->exit_vcpu,
					 .how = FIELD_WRITER_EXIT};
	return w;
}
