/*
 * A bare virtual processor for tests of the engine's system side: 8 MiB of RAM, a GDT with one
 * descriptor of each kind, an IDT whose handlers halt, page tables that map RAM one to one. Tests
 * set a mode, run a few instructions given as assembly, and look at state, guest memory and exits.
 */
#ifndef TESTS_UNIT_ENGINE_SYS_FIXTURE_H
#define TESTS_UNIT_ENGINE_SYS_FIXTURE_H

#include "l0/arch/msr.h"
#include "l0/arch/vmx.h"
#include "l0/arch/x86.h"
#include "l0/engine/access.h"
#include "l0/engine/engine.h"
#include "l0/engine/sys.h"
#include "l0/mem/mem.h"
#include "trace/transition.h"

/* Where things are in guest RAM. */
#define AT_GDT 0x1000u
#define AT_IDT 0x2000u
#define AT_TSS 0x3000u
#define AT_TSS2 0x3400u
#define AT_TSS16 0x3800u
#define AT_PML4 0x4000u
#define AT_PDPT 0x5000u
#define AT_PD 0x6000u
#define AT_CODE 0x8000u
#define AT_HANDLERS 0xa000u /* handler of vector v: AT_HANDLERS + 16 v, a HLT */
#define AT_DATA 0xc000u
#define AT_USER_CODE 0x18000u
#define STACK0 0x20000u /* tops of stacks */
#define STACK3 0x24000u
#define STACK_TSS0 0x28000u
#define STACK_IST1 0x2c000u
#define STACK_TSS1 0x30000u

/* Selectors. */
#define S_CODE32 0x08u
#define S_DATA32 0x10u
#define S_CODE16 0x18u
#define S_DATA16 0x20u
#define S_CODE64 0x28u
#define S_UCODE32 0x33u
#define S_UDATA32 0x3bu
#define S_UCODE64 0x43u
#define S_TSS 0x48u /* two slots */
#define S_TSS2 0x58u
#define S_GATE 0x60u /* free for tests; two slots */
#define S_CONFORMING 0x70u
#define S_LDT 0x78u /* two slots */
#define S_TSS16 0x90u
#define S_TASKGATE 0x98u
#define S_ABSENT 0xa0u
#define S_CODE32_1 0xa9u
#define S_DATA32_1 0xb1u
#define S_RDONLY 0xb8u
#define S_EXECONLY 0xc0u
#define S_CONFORMING64 0xc8u
#define GDT_LIMIT 0xffu

struct sysfix {
	struct vp vp;
	struct mem *mem;
	struct vtlb *vtlb;
	struct cpu_features features;
	u8 io_bitmap[2][4096], msr_bitmap[4096];
	int irq; /* vector that intr_ack() gives, -1: none */
	u64 tsc;
	u8 tpr;
	u32 port_log[64], port_writes; /* value | port << 16 of the OUTs to unclaimed ports */
	u32 port_in;		       /* what IN gives */
	struct trace_ctx trace;
};

struct sysfix *sysfix_create(void);
void sysfix_destroy(struct sysfix *f);

/* Back to the tables as at the start, registers cleared, controls that intercept as little as
 * possible (l0_native), everything the features announce enabled. */
void sysfix_reset(struct sysfix *f);

void sysfix_real(struct sysfix *f, u16 cs, u16 ip);
void sysfix_protected(struct sysfix *f, u32 eip); /* 32-bit, level 0, no paging */
void sysfix_long(struct sysfix *f, u64 rip);	  /* 64-bit, level 0 */
/* Go to level 3 of the mode set before. */
void sysfix_user(struct sysfix *f, u64 rip);

void sysfix_code(struct sysfix *f, u64 at, const u8 *begin, const u8 *end);
void sysfix_bytes(struct sysfix *f, u64 at, const void *bytes, u64 n);
u64 sysfix_peek(struct sysfix *f, u64 at, u32 size);
void sysfix_poke(struct sysfix *f, u64 at, u64 val, u32 size);

/* Descriptor: @ar as in struct seg; limit in units of G. */
u64 sysfix_desc(u32 base, u32 limit, u32 ar);
void sysfix_gdt(struct sysfix *f, u16 sel, u64 desc);
/* IDT gate: type 5 task, 6/7 16-bit, 14/15 32- or 64-bit interrupt/trap. */
void sysfix_gate32(struct sysfix *f, u32 vector, u16 sel, u32 off, u32 type, u32 dpl);
void sysfix_gate64(struct sysfix *f, u32 vector, u16 sel, u64 off, u32 type, u32 dpl, u32 ist);

/* Run at most @n instructions. */
enum engine_stop sysfix_run(struct sysfix *f, u64 n);
/* Vector whose handler has halted, or -1. */
int sysfix_handled(const struct sysfix *f);

/* Guest code as assembly: GUEST(name, bits, "insn; insn"), then g_name .. g_name_end. What is
 * aligned in it, to 128 bytes at most, is so where it runs. */
#define GUEST(name, bits, body) \
	__asm__(".pushsection .rodata.guest,\"a\"\n.code" #bits "\n.balign 128\n" \
		".globl g_" #name "\ng_" #name ":\n" body "\n" \
		".globl g_" #name "_end\ng_" #name "_end:\n.code64\n.popsection\n"); \
	extern const u8 g_##name[], g_##name##_end[]
#define LOAD(f, at, name) sysfix_code(f, at, g_##name, g_##name##_end)

#endif
