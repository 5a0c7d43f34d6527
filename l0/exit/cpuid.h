/*
 * cpuid.h - processor models: what a machine's processors announce
 *
 * A model (cpu_models.def) and what the engine implements give a struct cpu_profile, computed once
 * per machine: the CPUID leaves, the features the engine enforces, the VMX capability MSRs. A feature is
 * announced only when the engine has it: CPUID_UNIMPLEMENTED in cpuid.c is the one list of what is
 * still masked off.
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

struct cpu_model; /* a row of cpu_models.def */

struct cpu_profile {
	const struct cpu_model *model;
	struct cpu_features features; /* vp->features */
	struct vmx_caps caps;
	u32 cpus;
	u64 tsc_hz;
	u32 basic_max, extended_max;
	u32 leaf_count;
	struct cpuid_leaf leaf[CPUID_LEAVES_MAX];
};

/**
 * cpu_profile_init - compute what a machine's processors announce
 * @model:  name in cpu_models.def; NULL is the default model
 * @cpus:   number of virtual processors, 1-255
 * @tsc_hz: rate of the time-stamp counter
 * Return: 0, -ENOENT when there is no such model.
 */
int cpu_profile_init(struct cpu_profile *p, const char *model, u32 cpus, u64 tsc_hz) __must_check;

/* The engine's part of the profile; @f is overwritten. For tests that need no machine: a NULL model. */
void cpu_features_fill(struct cpu_features *f, const struct cpu_model *model);

/* Names of the models, for --help and messages: NULL after the last. */
const char *cpu_model_name(u32 n);
const char *cpu_model_text(u32 n);

struct nvmx;

/* CPUID of @vp with EAX, ECX from its registers into them. SDM 2A "CPUID". */
void cpuid_execute(struct vp *vp, const struct nvmx *nv);

#endif
