/*
 * cpuid.h - processor models: what a machine's processors announce
 *
 * A model (cpu_models.def) and what the engine implements give a struct cpu_profile, computed once
 * per machine: the CPUID leaves, the features the engine enforces, the VMX capability MSRs. A
 * feature is announced only when the engine has it: the column "works" of cpu_features.def is the
 * one list.
 */
#ifndef L0_EXIT_CPUID_H
#define L0_EXIT_CPUID_H

#include "l0/engine/vp.h"
#include "shadow-vmcs/caps.h"

#define CPUID_LEAVES_MAX 48u

struct cpuid_leaf {
	u32 leaf, subleaf; /* subleaf ~0: the leaf ignores it */
	u32 eax, ebx, ecx, edx;
};

/* A row of cpu_models.def. */
struct cpu_model {
	const char *name, *text;
	u32 family, model, stepping;
	u32 maxphyaddr, linaddr_bits;
	const u8 *lacks; /* enum cpu_feature, ends with CPU_FEATURE_NONE */
	u32 proc2_lacks;
	const char *brand;
};

enum cpu_feature {
	CPU_FEATURE_NONE,
#define CPU_FEATURE(NAME, ...) CPU_FEATURE_##NAME,
#include "l0/arch/cpu_features.def"
#undef CPU_FEATURE
	CPU_FEATURE_COUNT,
};

/* Virtual charges, costs.def. */
struct exit_costs {
#define EXIT_COST(NAME, member, ns, text) u32 member;
#include "l0/arch/costs.def"
#undef EXIT_COST
};

struct cpu_profile {
	const struct cpu_model *model;
	struct cpu_features features; /* vp->features */
	struct vmx_caps caps;
	struct exit_costs costs;
	u64 has[2]; /* bit set of enum cpu_feature */
	u32 cpus;
	u64 tsc_hz;
	u32 basic_max, extended_max;
	u32 leaf_count;
	struct cpuid_leaf leaf[CPUID_LEAVES_MAX];
	u8 vmcs_exit_map[4096]; /* VMREAD and VMWRITE bitmap for L1: fields that the model lacks */
};

/**
 * cpu_profile_init - compute what a machine's processors announce
 * @model:  name in cpu_models.def; NULL is the default model
 * @cpus:   number of virtual processors, 1-255
 * @tsc_hz: rate of the time-stamp counter
 * Return: 0, -ENOENT when there is no such model.
 */
int cpu_profile_init(struct cpu_profile *p, const char *model, u32 cpus, u64 tsc_hz) __must_check;

/* The engine's part of a profile; @f is overwritten. For tests that need no machine: a NULL model.
 */
void cpu_features_fill(struct cpu_features *f, const struct cpu_model *model);

static inline bool cpu_profile_has(const struct cpu_profile *p, enum cpu_feature f)
{
	return p->has[f / 64] >> (f % 64) & 1;
}

/* Names of the models, for --help and messages: NULL after the last. */
const char *cpu_model_name(u32 n);
const char *cpu_model_text(u32 n);

struct nvmx;

/* CPUID of @vp with EAX, ECX from its registers into them. SDM 2A "CPUID". */
void cpuid_execute(struct vp *vp, const struct nvmx *nv);

#endif
