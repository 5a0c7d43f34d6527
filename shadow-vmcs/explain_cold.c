/* Text and advice for a failed check; see explain.h. Uses snprintf: callers park the vector
 * state. */
#include <stdio.h>
#include <string.h>
#include "l0/arch/events.h"
#include "l0/arch/vmx.h"
#include "l0/mem/mem.h"
#include "shadow-vmcs/checks_priv.h"
#include "shadow-vmcs/explain.h"
#include "shadow-vmcs/vmcs12.h"

#define CANDIDATES 288u
#define PAIR_BITS 16u /* two bits are tried together below this one */

/* Values to try for one field. */
struct candidates {
	u64 value, mask; /* what it is; its width */
	u64 list[CANDIDATES];
	u32 count;
};

/* A trial: a copy of the VMCS in which one field is another. */
struct trial {
	struct vmcs12 v;
	const struct check_ctx *base;
};

static void set_field(struct vmcs12 *v, u32 encoding, u64 value)
{
	memcpy((u8 *)v + vmcs12_offset_of(encoding), &value, vmcs_field_bytes(encoding));
}

static void trial_ctx(const struct trial *t, struct check_ctx *c)
{
	check_ctx_init(c, &t->v, t->base->caps, t->base->mem, t->base->ia32e_now);
	c->vmptr = t->base->vmptr;
}

/* Does check @id pass with @value in @encoding? *@failing: how many checks fail then. */
static bool try_value(struct trial *t, u32 id, u32 encoding, u64 value, u32 *failing)
{
	struct check_ctx c;
	u64 old = 0;
	bool ok;

	vmcs12_peek(&t->v, encoding, &old);
	set_field(&t->v, encoding, value);
	trial_ctx(t, &c);
	ok = check_passes(&c, id);
	*failing = 0;
	for (u32 i = CHECK_NONE + 1; ok && i < CHECK_COUNT; i++)
		*failing += (c.mem || !check_reads_memory(i)) && !check_passes(&c, i);
	set_field(&t->v, encoding, old);
	return ok;
}

/* --- what to try ---------------------------------------------------------------------------------
 */

static void add(struct candidates *k, u64 value)
{
	value &= k->mask;
	if (k->count < CANDIDATES && value != k->value)
		k->list[k->count++] = value;
}

/* A control word as its capability MSR allows it. */
static void add_controls(struct candidates *k, const struct vmx_caps *caps)
{
	const struct vmx_allowed *a[] = {&caps->pin, &caps->proc, &caps->proc2, &caps->exit,
					 &caps->entry};

	for (u32 i = 0; i < ARRAY_SIZE(a); i++)
		add(k, ((u32)k->value | a[i]->must_be_1) & a[i]->may_be_1);
}

/* All reserved bits of a register at once. */
static void add_registers(struct candidates *k, const struct vmx_caps *caps)
{
	u64 v = k->value;

	add(k, (v | caps->cr0_fixed0) & caps->cr0_fixed1);
	add(k, (v | (caps->cr0_fixed0 & ~(CR0_PE | CR0_PG))) & caps->cr0_fixed1);
	add(k, (v | caps->cr4_fixed0) & caps->cr4_fixed1);
	add(k, v & caps->cr4_valid);
	add(k, v & caps->efer_valid);
	add(k, v & caps->debugctl_valid);
	add(k, (v & RFLAGS_DEFINED) | RFLAGS_FIXED);
	add(k, 0x0007040600070406ull); /* IA32_PAT after reset */
}

/* Addresses: alignment, physical and linear width. */
static void add_addresses(struct candidates *k, const struct vmx_caps *caps)
{
	u64 v = k->value, width = mask_low(caps->maxphyaddr);

	add(k, v & width);
	add(k, v & PAGE_MASK & width);
	add(k, v & ~0xfull & width);
	add(k, v & ~0x3full & width);
	add(k, (u64)sign_extend(v, caps->linaddr_bits));
	add(k, (u32)v);
	add(k, (u16)v);
	add(k, (u8)v);
	/* a list must end within the width, too */
	add(k, v & PAGE_MASK & (width >> 1));
}

/* Segments: selectors, access rights. @selector: of the field's segment. */
static void add_segments(struct candidates *k, u64 selector)
{
	static const u32 rights[] = {0xf3, 0x9b, 0xa09b, 0xc09b, 0x93, 0xc093, 0x8b, 0x82};
	u64 v = k->value;

	add(k, v & ~7ull);
	add(k, v & ~0xfffe0f00ull);
	add(k, selector * 16);
	add(k, v | SEG_AR_UNUSABLE);
	for (u32 i = 0; i < ARRAY_SIZE(rights); i++)
		add(k, rights[i]);
}

static void add_bits(struct candidates *k)
{
	for (u32 i = 0; i < 64 && k->mask >> i; i++)
		add(k, k->value ^ BIT(i));
}

static void add_pairs(struct candidates *k)
{
	for (u32 i = 0; i < PAIR_BITS; i++)
		for (u32 j = 0; j < i; j++)
			add(k, k->value ^ BIT(i) ^ BIT(j));
}

/* Selector of the segment that a guest base or its like belongs to. */
static u64 selector_of(const struct vmcs12 *v, u32 encoding)
{
	u32 step = encoding - VMCS_GUEST_ES_BASE;
	u64 value = 0;

	if (encoding >= VMCS_GUEST_ES_BASE && step <= 5 * VMCS_SEG_STEP)
		vmcs12_peek(v, VMCS_GUEST_ES_SELECTOR + step, &value);
	return value;
}

static void candidates_init(struct candidates *k, const struct vmcs12 *v, u32 encoding)
{
	k->count = 0;
	k->value = 0;
	k->mask = mask_low(8 * vmcs_field_bytes(encoding));
	vmcs12_peek(v, encoding, &k->value);
}

/* A value by which the field only takes itself out of the question is the last to advise. */
#define ESCAPE_RANK 0x80u
static u32 escape_rank(u32 encoding, u64 old, u64 value)
{
	bool is_rights = encoding >= VMCS_GUEST_ES_AR_BYTES && encoding <= VMCS_GUEST_TR_AR_BYTES;

	if (is_rights)
		return value & ~old & SEG_AR_UNUSABLE ? ESCAPE_RANK : 0;
	if (encoding == VMCS_VM_ENTRY_INTR_INFO_FIELD)
		return old & ~value & INTR_INFO_VALID ? ESCAPE_RANK : 0;
	if (encoding == VMCS_VMCS_LINK_POINTER) /* another region is no advice */
		return value != VMX_NO_POINTER ? ESCAPE_RANK : 0;
	if (encoding == VMCS_CPU_BASED_VM_EXEC_CONTROL)
		return old & ~value & PROC_SECONDARY ? ESCAPE_RANK : 0;
	return 0;
}

/* The best of the candidates. Return: one passes; *@rank: the lower the better. */
static bool best_of(struct trial *t, u32 id, u32 encoding, const struct candidates *k, u64 *pass,
		    u32 *rank)
{
	*rank = ~0u;
	for (u32 i = 0; i < k->count; i++) {
		u32 failing, r;

		if (!try_value(t, id, encoding, k->list[i], &failing))
			continue;
		r = failing << 8 | escape_rank(encoding, k->value, k->list[i]) |
		    bit_count(k->list[i] ^ k->value);
		if (r < *rank) {
			*rank = r;
			*pass = k->list[i];
		}
	}
	return *rank != ~0u;
}

/* --- one check -----------------------------------------------------------------------------------
 */

static u32 explain_main(struct trial *t, struct explain *e)
{
	const struct vmx_caps *caps = t->base->caps;
	struct candidates k;
	u32 rank;

	candidates_init(&k, &t->v, e->field);
	e->value = k.value;
	add_controls(&k, caps);
	add_registers(&k, caps);
	add_addresses(&k, caps);
	add_segments(&k, selector_of(&t->v, e->field));
	add(&k, 0);
	add(&k, 1);
	add(&k, 8);
	add(&k, 0xffff);
	add(&k, ~0ull);
	add_bits(&k);
	add_pairs(&k);
	e->pass_known = best_of(t, e->check, e->field, &k, &e->pass_value, &rank);
	if (e->pass_known) {
		e->must_set = e->pass_value & ~e->value;
		e->must_clear = e->value & ~e->pass_value;
	}
	return rank;
}

/* Keep the best EXPLAIN_ALSO, best first. */
static void keep_also(struct explain *e, u32 *ranks, const struct explain_field *f, u32 rank)
{
	u32 at = e->also_count;

	while (at && ranks[at - 1] > rank)
		at--;
	if (at == EXPLAIN_ALSO)
		return;
	if (e->also_count < EXPLAIN_ALSO)
		e->also_count++;
	for (u32 i = e->also_count - 1; i > at; i--) {
		e->also[i] = e->also[i - 1];
		ranks[i] = ranks[i - 1];
	}
	e->also[at] = *f;
	ranks[at] = rank;
}

/* Other fields of the groups that the check reads, a bit each. One that makes more checks fail than
 * @limit allows is no advice. */
static void explain_also(struct trial *t, struct explain *e, u32 limit)
{
	u32 ranks[EXPLAIN_ALSO], deps = check_table[e->check].deps;

	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *info = &vmcs_field_table[i];
		struct explain_field f = {.field = info->encoding};
		struct candidates k;
		u32 rank;

		if (info->encoding == e->field || !vmx_caps_has(t->base->caps, info->need) ||
		    !(vmcs12_group[VMCS12_KEY(info->encoding)] & deps) ||
		    /* other memory may pass by chance */
		    (check_reads_memory(e->check) && vmcs_field_bytes(info->encoding) == 8))
			continue;
		candidates_init(&k, &t->v, info->encoding);
		f.value = k.value;
		add(&k, 0);
		add_bits(&k);
		if (best_of(t, e->check, info->encoding, &k, &f.pass_value, &rank) &&
		    rank >> 8 <= limit >> 8)
			keep_also(e, ranks, &f, rank);
	}
}

/* Loading would have gone well with fewer entries, or with the most that may be. */
static void explain_msr_list(const struct check_ctx *c, struct explain *e)
{
	struct explain_msr *m = &e->msr;
	struct vmx_msr_entry found;

	if (!c->msr_entry)
		return;
	if (e->check == CHECK_MSR_LOAD_COUNT) {
		e->pass_known = true;
		e->pass_value = VMX_MSR_LIST_MAX;
		e->must_set = (u32)(e->pass_value & ~e->value);
		e->must_clear = (u32)(e->value & ~e->pass_value);
		return;
	}
	m->entry = c->msr_entry;
	m->at = c->v->vm_entry_msr_load_addr + (u64)(m->entry - 1) * sizeof(found);
	m->is_memory = c->mem && !mem_read(c->mem, m->at, &found, sizeof(found));
	if (m->is_memory) {
		m->msr = found.index;
		m->reserved = found.reserved;
		m->value = found.value;
	}
	e->also[e->also_count++] = (struct explain_field){.field = VMCS_VM_ENTRY_MSR_LOAD_COUNT,
							  .value = c->v->vm_entry_msr_load_count,
							  .pass_value = m->entry - 1};
}

void explain_check(const struct check_ctx *c, u32 id, struct explain *e)
{
	struct trial t;
	u32 rank;

	memset(e, 0, sizeof(*e));
	e->check = id;
	e->field = check_table[id].field;
	vmcs12_peek(c->v, e->field, &e->value);
	/* the checks on MSR lists are made by whoever loads them */
	if (check_table[id].group == CHECK_GROUP_MSR) {
		explain_msr_list(c, e);
		return;
	}
	if (check_reads_memory(id) && !c->mem)
		return;
	t.v = *c->v;
	t.base = c;
	rank = explain_main(&t, e);
	explain_also(&t, e, rank);
}

/* --- text ----------------------------------------------------------------------------------------
 */

struct explain explain_of_event(const struct ev_entry_failure *f)
{
	return (struct explain){.check = (u32)f->check,
				.field = (u32)f->field,
				.value = f->value,
				.pass_known = f->pass_known,
				.pass_value = f->pass_value,
				.must_set = f->must_set,
				.must_clear = f->must_clear};
}

const char *explain_text(const struct explain *e, char *buf)
{
	const struct check_info *i = &check_table[e->check];
	const char *field = vmcs_field_name(e->field);
	char bits[96] = "", pass[64] = "";

	if (e->pass_known) {
		snprintf(bits, sizeof(bits),
			 " (bits that must be 1: 0x%llx, that must be 0: 0x%llx)",
			 (unsigned long long)e->must_set, (unsigned long long)e->must_clear);
		snprintf(pass, sizeof(pass), "; 0x%llx would pass",
			 (unsigned long long)e->pass_value);
	}
	snprintf(buf, EXPLAIN_TEXT_BYTES, "check %s: %s = 0x%llx%s: %s (SDM 3C \"%s\")%s", i->name,
		 field ? field : "?", (unsigned long long)e->value, bits, i->rule, i->title, pass);
	return buf;
}

static const struct {
	u32 first, last;
	const char *name;
} msr_names[] = {
#define MSR_ROW(first, last, name, reader, writer) {first, last, name},
#include "l0/arch/msrs.def"
#undef MSR_ROW
};

const char *explain_msr_text(const struct explain_msr *m, char *buf)
{
	const char *name = "no MSR of this processor";
	char reserved[40] = "";
	int n = snprintf(buf, EXPLAIN_MSR_BYTES, "entry %u, at 0x%llx: ", m->entry,
			 (unsigned long long)m->at);

	if (!m->is_memory) {
		snprintf(buf + n, EXPLAIN_MSR_BYTES - (size_t)n, "no memory is there");
		return buf;
	}
	for (u32 i = 0; i < ARRAY_SIZE(msr_names); i++)
		if (m->msr >= msr_names[i].first && m->msr <= msr_names[i].last)
			name = msr_names[i].name;
	if (m->reserved)
		snprintf(reserved, sizeof(reserved), ", bits 63:32 = 0x%x", m->reserved);
	snprintf(buf + n, EXPLAIN_MSR_BYTES - (size_t)n, "MSR 0x%x (%s) = 0x%llx%s", m->msr, name,
		 (unsigned long long)m->value, reserved);
	return buf;
}

void check_explain(const struct check_ctx *c, u32 id, char *buf, size_t size)
{
	char line[EXPLAIN_TEXT_BYTES];
	struct explain e;

	if (id == CHECK_NONE || id >= CHECK_COUNT) {
		snprintf(buf, size, "no check failed");
		return;
	}
	explain_check(c, id, &e);
	snprintf(buf, size, "%s", explain_text(&e, line));
}

static const struct {
	u32 number;
	const char *text;
} vmx_errors[] = {
#define VMX_MEANING(number, text) {number, text},
#include "shadow-vmcs/explain_errors.def"
#undef VMX_MEANING
};

const char *explain_vmx_error(u32 error)
{
	for (u32 i = 0; i < ARRAY_SIZE(vmx_errors); i++)
		if (vmx_errors[i].number == error)
			return vmx_errors[i].text;
	return NULL;
}

const char *explain_misuse(u32 kind)
{
	switch (kind) {
#define VMX_MISUSE(name, text) \
	case VMX_MISUSE_##name: \
		return text;
#include "shadow-vmcs/explain_misuse.def"
#undef VMX_MISUSE
	default: return NULL;
	}
}
