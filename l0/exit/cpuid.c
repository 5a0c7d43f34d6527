#include <errno.h>
#include "l0/exit/cpuid.h"
#include "l0/arch/vmcs12.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/base/bits.h"
#include "l0/base/mem_ops.h"
#include "l0/arch/msr.h"
#include "l0/dev/lapic.h"
#include "l0/exit/exit.h"
#include "l0/engine/pmu.h"
#include "l0/engine/vec.h"
#include "l0/exit/nested.h"

_Static_assert(CPU_FEATURE_COUNT <= 128, "two words hold all features");

#define CPU_LACKS(...) ((const u8[]){__VA_ARGS__, CPU_FEATURE_NONE})
static const struct cpu_model models[] = {
#define CPU_MODEL(name_, text_, family_, model_, stepping_, phys_, lin_, lacks_, proc2_, brand_) \
	{name_, text_, family_, model_, stepping_, phys_, lin_, lacks_, proc2_, brand_},
#include "l0/arch/cpu_models.def"
#undef CPU_MODEL
};

enum cpuid_reg { REG_EAX, REG_EBX, REG_ECX, REG_EDX };

struct feature_row {
	u32 leaf, subleaf;
	u8 reg, bit;
	u8 works;
};

static const struct feature_row features[CPU_FEATURE_COUNT] = {
#define CPU_FEATURE(NAME, leaf_, subleaf_, reg_, bit_, works_) \
	[CPU_FEATURE_##NAME] = {leaf_, subleaf_, REG_##reg_, bit_, works_},
#include "l0/arch/cpu_features.def"
#undef CPU_FEATURE
};

const char *cpu_model_name(u32 n)
{
	return n < ARRAY_SIZE(models) ? models[n].name : NULL;
}

const char *cpu_model_text(u32 n)
{
	return n < ARRAY_SIZE(models) ? models[n].text : NULL;
}

static bool same_name(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* --- features --------------------------------------------------------------------------------- */

/* Features that mean nothing without another, which stands before them here. */
static const u8 needs[][2] = {
	{CPU_FEATURE_AVX, CPU_FEATURE_XSAVE},	  {CPU_FEATURE_XSAVEOPT, CPU_FEATURE_XSAVE},
	{CPU_FEATURE_XSAVEC, CPU_FEATURE_XSAVE},  {CPU_FEATURE_AVX2, CPU_FEATURE_AVX},
	{CPU_FEATURE_FMA, CPU_FEATURE_AVX},	  {CPU_FEATURE_F16C, CPU_FEATURE_AVX},
	{CPU_FEATURE_PKU, CPU_FEATURE_XSAVE},	  {CPU_FEATURE_XGETBV1, CPU_FEATURE_XSAVE},
	{CPU_FEATURE_XSAVES, CPU_FEATURE_XSAVEC},
};

static bool works_here(const struct feature_row *f)
{
	return f->works == 1 ||
	       (f->works == 2 && vec_host_has(f->leaf, f->subleaf, f->reg, f->bit));
}

static void feature_set(const struct cpu_model *m, u64 has[2])
{
	has[0] = has[1] = 0;
	for (u32 i = CPU_FEATURE_NONE + 1; i < CPU_FEATURE_COUNT; i++)
		if (works_here(&features[i]))
			bitmap_set(has, i);
	for (const u8 *l = m->lacks; *l != CPU_FEATURE_NONE; l++)
		bitmap_clear(has, *l);
	for (u32 i = 0; i < ARRAY_SIZE(needs); i++)
		if (!bitmap_test(has, needs[i][1]))
			bitmap_clear(has, needs[i][0]);
}

static bool has_bit(const u64 has[2], enum cpu_feature f)
{
	return bitmap_test(has, f);
}

static u64 cr4_of(const u64 has[2])
{
	u64 v = CR4_TSD | CR4_PCE;

	static const struct {
		u8 feature;
		u64 bits;
	} t[] = {
		{CPU_FEATURE_VME, CR4_VME | CR4_PVI}, {CPU_FEATURE_DE, CR4_DE},
		{CPU_FEATURE_PSE, CR4_PSE},	      {CPU_FEATURE_PAE, CR4_PAE},
		{CPU_FEATURE_MCE, CR4_MCE},	      {CPU_FEATURE_PGE, CR4_PGE},
		{CPU_FEATURE_FXSR, CR4_OSFXSR},	      {CPU_FEATURE_SSE, CR4_OSXMMEXCPT},
		{CPU_FEATURE_UMIP, CR4_UMIP},	      {CPU_FEATURE_VMX, CR4_VMXE},
		{CPU_FEATURE_FSGSBASE, CR4_FSGSBASE}, {CPU_FEATURE_PCID, CR4_PCIDE},
		{CPU_FEATURE_XSAVE, CR4_OSXSAVE},     {CPU_FEATURE_SMEP, CR4_SMEP},
		{CPU_FEATURE_SMAP, CR4_SMAP},	      {CPU_FEATURE_PKU, CR4_PKE},
		{CPU_FEATURE_LA57, CR4_LA57},
	};

	for (u32 i = 0; i < ARRAY_SIZE(t); i++)
		if (has_bit(has, t[i].feature))
			v |= t[i].bits;
	return v;
}

static u64 efer_of(const u64 has[2])
{
	return (has_bit(has, CPU_FEATURE_SYSCALL) ? EFER_SCE : 0) |
	       (has_bit(has, CPU_FEATURE_LM) ? EFER_LME | EFER_LMA : 0) |
	       (has_bit(has, CPU_FEATURE_NX) ? EFER_NXE : 0);
}

static u64 xcr0_of(const u64 has[2])
{
	if (!has_bit(has, CPU_FEATURE_XSAVE))
		return 0;
	return XCR0_X87 | XCR0_SSE | (has_bit(has, CPU_FEATURE_AVX) ? XCR0_AVX : 0) |
	       (has_bit(has, CPU_FEATURE_PKU) ? XCR0_PKRU : 0);
}

static void features_fill(struct cpu_features *f, const struct cpu_model *m, const u64 has[2])
{
	nm_zero(f, sizeof(*f));
	f->cr4_valid = cr4_of(has);
	f->efer_valid = efer_of(has);
	f->xcr0_valid = xcr0_of(has);
	f->cr0_fixed0 = CR0_PE | CR0_NE | CR0_PG;
	f->cr0_fixed1 = mask_low(32);
	f->cr4_fixed0 = CR4_VMXE;
	f->cr4_fixed1 = f->cr4_valid | CR4_VMXE;
	f->maxphyaddr = m->maxphyaddr;
	f->linaddr_bits = has_bit(has, CPU_FEATURE_LA57) ? m->linaddr_bits : 48;
#define CPU_FEATURE(...)
#define CPU_FEATURE_OF(NAME, leaf, subleaf, reg, bit, works, member) \
	f->member = has_bit(has, CPU_FEATURE_##NAME);
#include "l0/arch/cpu_features.def"
#undef CPU_FEATURE
}

void cpu_features_fill(struct cpu_features *f, const struct cpu_model *model)
{
	u64 has[2];

	if (!model)
		model = &models[0];
	feature_set(model, has);
	features_fill(f, model, has);
}

/* --- leaves ----------------------------------------------------------------------------------- */

#define BASIC_MAX 0x16u
#define EXTENDED_MAX 0x80000008u
#define CPUID_LIMITED_MAX 2u /* under IA32_MISC_ENABLE[22], for operating systems of old */
#define ANY_SUBLEAF (~0u)

static struct cpuid_leaf *leaf_add(struct cpu_profile *p, u32 leaf, u32 subleaf, u32 eax, u32 ebx,
				   u32 ecx, u32 edx)
{
	if (p->leaf_count == CPUID_LEAVES_MAX)
		return &p->leaf[CPUID_LEAVES_MAX - 1];
	p->leaf[p->leaf_count] = (struct cpuid_leaf){leaf, subleaf, eax, ebx, ecx, edx};
	return &p->leaf[p->leaf_count++];
}

/* Feature bits of a leaf that has been added. */
static void leaf_features(const struct cpu_profile *p, struct cpuid_leaf *l)
{
	u32 *reg[] = {&l->eax, &l->ebx, &l->ecx, &l->edx};

	for (u32 i = CPU_FEATURE_NONE + 1; i < CPU_FEATURE_COUNT; i++) {
		const struct feature_row *f = &features[i];
		u32 sub = l->subleaf == ANY_SUBLEAF ? 0 : l->subleaf;

		if (f->leaf == l->leaf && f->subleaf == sub && has_bit(p->has, i))
			*reg[f->reg] |= 1u << f->bit;
	}
}

static u32 signature(const struct cpu_model *m)
{
	return m->stepping | (m->model & 0xf) << 4 | (m->family & 0xf) << 8 | (m->model >> 4) << 16;
}

static u32 xsave_bytes(u64 xcr0)
{
	if (xcr0 & XCR0_PKRU)
		return XSAVE_PKRU_OFFSET + XSAVE_PKRU_BYTES;
	return XSAVE_AVX_OFFSET + (xcr0 & XCR0_AVX ? XSAVE_AVX_BYTES : 0);
}

static u32 xsave_compact_bytes(u64 xcr0)
{
	return XSAVE_AVX_OFFSET + (xcr0 & XCR0_AVX ? XSAVE_AVX_BYTES : 0) +
	       (xcr0 & XCR0_PKRU ? XSAVE_PKRU_BYTES : 0);
}

static u32 log2_up(u32 n)
{
	u32 bits = 0;

	while ((1u << bits) < n)
		bits++;
	return bits;
}

/* Deterministic cache parameters: one level-1 pair and a level 2 of each processor, a shared
 * level 3. */
static void leaves_cache(struct cpu_profile *p)
{
	static const struct {
		u32 type, level, kib, ways;
		bool shared;
	} t[] = {{1, 1, 48, 12, false},
		 {2, 1, 32, 8, false},
		 {3, 2, 1024, 16, false},
		 {3, 3, 16384, 16, true}};
	u32 ids = (1u << log2_up(p->cpus)) - 1;

	for (u32 i = 0; i < ARRAY_SIZE(t); i++) {
		u32 sets = t[i].kib * 1024 / (64 * t[i].ways);

		leaf_add(p, 4, i,
			 t[i].type | t[i].level << 5 | 1u << 8 | (t[i].shared ? ids : 0) << 14 |
				 ids << 26,
			 63 | (t[i].ways - 1) << 22, sets - 1, 0);
	}
}

/* Leaf 0Dh: EBX of sub-leaves 0 and 1 follows XCR0, see leaf_dynamic(). */
static void leaves_xsave(struct cpu_profile *p)
{
	u32 xcr0 = (u32)p->features.xcr0_valid;

	if (!xcr0)
		return;
	leaf_add(p, 0xd, 0, xcr0, 0, xsave_bytes(xcr0), 0);
	leaf_features(p, leaf_add(p, 0xd, 1, 0, 0, 0, 0));
	if (xcr0 & XCR0_AVX)
		leaf_add(p, 0xd, 2, XSAVE_AVX_BYTES, XSAVE_AVX_OFFSET, 0, 0);
	if (xcr0 & XCR0_PKRU)
		leaf_add(p, 0xd, 9, XSAVE_PKRU_BYTES, XSAVE_PKRU_OFFSET, 0, 0);
}

static u64 gcd(u64 a, u64 b)
{
	while (b) {
		u64 r = a % b;

		a = b;
		b = r;
	}
	return a;
}

static void leaves_basic(struct cpu_profile *p)
{
	const struct cpu_model *m = p->model;
	u32 mhz = (u32)(p->tsc_hz / 1000000);
	/* the "crystal" is what the local APIC's timer counts: guests take its rate from here */
	u64 g = gcd(LAPIC_TIMER_HZ, p->tsc_hz);

	leaf_add(p, 0, ANY_SUBLEAF, BASIC_MAX, 0x756e6547, 0x6c65746e,
		 0x49656e69); /* GenuineIntel */
	leaf_features(p, leaf_add(p, 1, ANY_SUBLEAF, signature(m), 8u << 8 | p->cpus << 16,
				  1u << 31, p->cpus > 1 ? 1u << 28 : 0));
	leaf_add(p, 2, ANY_SUBLEAF, 0x00feff01, 0xf0, 0, 0); /* see leaves 4 and 18h */
	leaves_cache(p);
	leaf_add(p, 5, ANY_SUBLEAF, 64, 64, 3, 0); /* MONITOR line size; extensions enumerated */
	leaf_add(p, 6, ANY_SUBLEAF, 4, 0, 0, 0);   /* the local APIC timer runs always */
	leaf_features(p, leaf_add(p, 7, 0, 0, 0, 0, 0));
	leaf_add(p, 0xa, ANY_SUBLEAF, PMU_CPUID_EAX, PMU_CPUID_EBX, 0, PMU_CPUID_EDX);
	leaf_add(p, 0xb, 0, 0, 1, 1u << 8, 0);				/* threads: one a core */
	leaf_add(p, 0xb, 1, log2_up(p->cpus), p->cpus, 1 | 2u << 8, 0); /* cores */
	leaves_xsave(p);
	leaf_add(p, 0x15, ANY_SUBLEAF, (u32)(LAPIC_TIMER_HZ / g), (u32)(p->tsc_hz / g),
		 (u32)LAPIC_TIMER_HZ, 0);
	leaf_add(p, 0x16, ANY_SUBLEAF, mhz, mhz, 100, 0);
}

static void leaves_extended(struct cpu_profile *p)
{
	u32 w[12] = {0};
	const char *s = p->model->brand;

	leaf_add(p, 0x80000000, ANY_SUBLEAF, EXTENDED_MAX, 0, 0, 0);
	leaf_features(p, leaf_add(p, 0x80000001, ANY_SUBLEAF, 0, 0, 0, 0));
	for (u32 i = 0; i < sizeof(w) - 1 && s[i]; i++)
		w[i / 4] |= (u32)(u8)s[i] << (8 * (i % 4));
	for (u32 i = 0; i < 3; i++)
		leaf_add(p, 0x80000002 + i, ANY_SUBLEAF, w[4 * i], w[4 * i + 1], w[4 * i + 2],
			 w[4 * i + 3]);
	leaf_add(p, 0x80000006, ANY_SUBLEAF, 0, 0, 0x04008040, 0); /* 1 MiB, 64-byte lines */
	leaf_features(p, leaf_add(p, 0x80000007, ANY_SUBLEAF, 0, 0, 0, 0));
	leaf_add(p, 0x80000008, ANY_SUBLEAF, p->model->maxphyaddr | p->features.linaddr_bits << 8,
		 0, 0, 0);
}

/* --- the profile ------------------------------------------------------------------------------ */

static void caps_fill(struct cpu_profile *p)
{
	struct vmx_model m = vmx_implemented;

	if (!has_bit(p->has, CPU_FEATURE_VMX))
		return;
	if (p->model->proc2_lacks == ~0u)
		m.proc &= ~PROC_SECONDARY;
	m.proc2 &= ~p->model->proc2_lacks;
	if (!p->features.has_rdtscp)
		m.proc2 &= ~PROC2_RDTSCP;
	if (!p->features.has_xsaves)
		m.proc2 &= ~PROC2_XSAVES;
	if (!has_bit(p->has, CPU_FEATURE_LA57))
		m.ept_vpid &= ~EPT_CAP_WALK_5;
	if (!p->features.has_1g)
		m.ept_vpid &= ~EPT_CAP_1G;
	vmx_caps_init(&p->caps, &m, p->features.cr4_valid, p->features.efer_valid,
		      p->features.xcr0_valid, p->features.maxphyaddr, p->features.linaddr_bits);
}

/* A clear bit lets the engine access the field; everything that must fail exits. */
static void vmcs_exit_map_fill(struct cpu_profile *p)
{
	nm_set(p->vmcs_exit_map, 0xff, sizeof(p->vmcs_exit_map));
	for (u32 i = 0; i < vmcs_field_count; i++) {
		const struct vmcs_field_info *f = &vmcs_field_table[i];

		if (vmx_caps_has(&p->caps, f->need))
			p->vmcs_exit_map[f->encoding / 8] &= ~(1u << (f->encoding & 7));
	}
}

int cpu_profile_init(struct cpu_profile *p, const char *model, u32 cpus, u64 tsc_hz)
{
	u32 i = 0;

	if (model)
		while (i < ARRAY_SIZE(models) && !same_name(model, models[i].name))
			i++;
	if (i == ARRAY_SIZE(models))
		return -ENOENT;
	nm_zero(p, sizeof(*p));
	p->model = &models[i];
	p->cpus = cpus;
	p->tsc_hz = tsc_hz;
	feature_set(p->model, p->has);
	features_fill(&p->features, p->model, p->has);
	caps_fill(p);
	vmcs_exit_map_fill(p);
	p->costs = (struct exit_costs){
#define EXIT_COST(NAME, member, ns, text) .member = ns,
#include "l0/arch/costs.def"
#undef EXIT_COST
	};
	p->basic_max = BASIC_MAX;
	p->extended_max = EXTENDED_MAX;
	leaves_basic(p);
	leaves_extended(p);
	return 0;
}

/* --- execution -------------------------------------------------------------------------------- */

static const struct cpuid_leaf *leaf_find(const struct cpu_profile *p, u32 leaf, u32 subleaf)
{
	for (u32 i = 0; i < p->leaf_count; i++) {
		const struct cpuid_leaf *l = &p->leaf[i];

		if (l->leaf == leaf && (l->subleaf == ANY_SUBLEAF || l->subleaf == subleaf))
			return l;
	}
	return NULL;
}

/* Bits that follow the processor's state: its number, and CR4 as the OS set it. */
static void leaf_dynamic(struct vp *vp, const struct nvmx *nv, u32 leaf, u32 subleaf,
			 struct cpuid_leaf *l)
{
	u64 base;

	switch (leaf) {
	case 1:
		l->ebx |= nv->index << 24;
		if (vp->cpu.cr4 & CR4_OSXSAVE)
			l->ecx |= 1u << 27;
		if (!(vp->cpu.misc_enable & MISC_ENABLE_MONITOR))
			l->ecx &= ~(1u << 3);
		/* a local APIC that software disabled in IA32_APIC_BASE is not there */
		if (nv->hooks->apic_msr_read &&
		    nv->hooks->apic_msr_read(vp, MSR_IA32_APIC_BASE, &base) &&
		    !(base & APIC_BASE_ENABLE))
			l->edx &= ~(1u << 9);
		break;
	case 0xd:
		if (!nv->profile->features.xcr0_valid)
			break;
		if (subleaf == 0)
			l->ebx = xsave_bytes(vp->cpu.xcr0);
		else if (subleaf == 1 && cpu_profile_has(nv->profile, CPU_FEATURE_XSAVEC))
			l->ebx = xsave_compact_bytes(vp->cpu.xcr0 | vp->cpu.xss);
		break;
	case 7:
		if (subleaf == 0 && (vp->cpu.cr4 & CR4_PKE))
			l->ecx |= 1u << 4; /* OSPKE */
		if (subleaf == 0 && !(vp->cpu.misc_enable & MISC_ENABLE_FAST_STRING))
			l->ebx &= ~(1u << 9); /* ERMS */
		break;
	case 0:
		if (vp->cpu.misc_enable & MISC_ENABLE_LIMIT_CPUID)
			l->eax = CPUID_LIMITED_MAX;
		break;
	case 0x80000001:
		if (vp->cpu.misc_enable & MISC_ENABLE_XD_DISABLE)
			l->edx &= ~(1u << 20);
		break;
	case 0xb:
		l->ecx |= subleaf & 0xff;
		l->edx = nv->index;
		break;
	}
}

void cpuid_execute(struct vp *vp, const struct nvmx *nv)
{
	const struct cpu_profile *p = nv->profile;
	u32 leaf = (u32)vp->cpu.gpr[RAX], subleaf = (u32)vp->cpu.gpr[RCX];
	struct cpuid_leaf out = {0};
	u32 basic_max =
		vp->cpu.misc_enable & MISC_ENABLE_LIMIT_CPUID ? CPUID_LIMITED_MAX : p->basic_max;
	const struct cpuid_leaf *l;

	/* a leaf beyond the last gives the data of the highest basic leaf */
	if ((leaf < 0x80000000u && leaf > basic_max && leaf < 0x40000000u) ||
	    leaf > p->extended_max)
		leaf = basic_max;
	l = leaf_find(p, leaf, subleaf);
	if (l)
		out = *l;
	leaf_dynamic(vp, nv, leaf, subleaf, &out);
	vp->cpu.gpr[RAX] = out.eax;
	vp->cpu.gpr[RBX] = out.ebx;
	vp->cpu.gpr[RCX] = out.ecx;
	vp->cpu.gpr[RDX] = out.edx;
}
