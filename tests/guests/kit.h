/*
 * Test guests: freestanding programs that run as L1 and look at the processor from inside. The kit
 * gives them a GDT, a TSS, an IDT whose handlers record an exception and go on after the
 * instruction, a way into level 3 and back, and a console on port 0xe9. Built for 32 and 64 bits.
 */
#ifndef TESTS_GUESTS_KIT_H
#define TESTS_GUESTS_KIT_H

#include "l0/arch/x86.h"
#include "l0/base/types.h"

typedef unsigned long ulong;

/* Selectors of the GDT in start32.S and start64.S. */
#define SEL_CODE 0x08
#define SEL_DATA 0x10
#define SEL_UCODE 0x1b
#define SEL_UDATA 0x23
#define SEL_CODE16 0x28
#define SEL_DATA16 0x30
#define SEL_TSS 0x38   /* two slots */
#define SEL_OTHER 0x48 /* 32 bits: 64-bit code unused; 64 bits: 32-bit user code (0x4b) */
#define SEL_FREE 0x50  /* from here on for tests */

extern u64 gdt[32];
extern u64 idt[512];

/* What the last exception or interrupt was. */
struct trap {
	int vector; /* -1: none */
	ulong error, ip, cs, flags, sp, cr2;
	u32 count;
};
extern volatile struct trap trap;
extern ulong recover_ip; /* where a fault goes on */

void put(const char *s);
void put_hex(ulong v);
void check(bool ok, const char *what, const char *file, int line);
void finish(void) __attribute__((noreturn));
extern u32 failures;
int main(void);

#define CHECK(cond) check(cond, #cond, __FILE__, __LINE__)
#define CHECK_EQ(a, b) check_eq((ulong)(a), (ulong)(b), #a " == " #b, __FILE__, __LINE__)
void check_eq(ulong a, ulong b, const char *what, const char *file, int line);

/* Run @code, assembly whose last instruction may fault; value: the vector it raised, or -1. */
#ifdef __x86_64__
#define MOV_RECOVER "movq $1f, recover_ip\n"
#else
#define MOV_RECOVER "movl $1f, recover_ip\n"
#endif
#define TRY_REGS(code, a_, c_, d_, ...) \
	({ \
		ulong try_a_ = (ulong)(a_), try_c_ = (ulong)(c_), try_d_ = (ulong)(d_); \
		trap.vector = -1; \
		__asm__ volatile(MOV_RECOVER code "\n1:" \
				 : "+a"(try_a_), "+c"(try_c_), "+d"(try_d_) \
				 : __VA_ARGS__ \
				 : "memory", "cc"); \
		recover_ip = 0; \
		trap.vector; \
	})
/* eAX, eCX, eDX are @code's to use; they begin with the values given. */
#define TRY(code) TRY_REGS(code, 0, 0, 0)
#define TRY_A(code, a) TRY_REGS(code, a, 0, 0)
#define TRY_AC(code, a, c) TRY_REGS(code, a, c, 0)

/* Call @fn at level 3; it comes back by returning, or by an exception. Value: the vector, or -1. */
int at_level3(void (*fn)(void));

/* Vectors of the IDT that a test may use freely; 0x30 is the way back from level 3. */
void set_gate(u32 vector, void (*handler)(void), u32 dpl);
void set_gate_raw(u32 vector, u16 sel, ulong off, u32 type, u32 dpl, u32 ist);
u64 descriptor(u32 base, u32 limit, u32 ar);

static inline void outb(u16 port, u8 v)
{
	__asm__ volatile("outb %0, %1" : : "a"(v), "Nd"(port));
}
static inline u8 inb(u16 port)
{
	u8 v;

	__asm__ volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
	return v;
}
static inline u64 rdmsr(u32 msr)
{
	u32 lo, hi;

	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr));
	return lo | (u64)hi << 32;
}
static inline void wrmsr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}
#define READ_CR(n) \
	({ \
		ulong v_; \
		__asm__ volatile("mov %%cr" #n ", %0" : "=r"(v_) : : "memory"); \
		v_; \
	})
#define WRITE_CR(n, v) __asm__ volatile("mov %0, %%cr" #n : : "r"((ulong)(v)) : "memory")
static inline void invlpg(void *p)
{
	__asm__ volatile("invlpg (%0)" : : "r"(p) : "memory");
}

#endif
