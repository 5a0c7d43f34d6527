#include "l1-child/guests/kit.h"

#include "l0/arch/ports.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

#define GATE_INTERRUPT 0x8e
#define GATE_USER 0x60
#define IDT_ENTRIES 256
#define EXIT_TRAP 100 /* + vector: exit code of an unexpected trap */

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_high;
#ifdef __x86_64__
	u32 offset_top, reserved;
#endif
};

struct table_pointer {
	u16 limit;
	uword base;
} __attribute__((packed));

struct tss64 {
	u32 reserved0;
	u64 rsp0;
	u32 rest[23];
} __attribute__((packed));

extern const u8 kit_stubs[KIT_VECTORS][16];
void kit_load_segments(void);
#define REPORT_EVERY 100 /* jobs */

void kit_job_over(struct guest_shared *s, u64 now, u64 deadline)
{
	u64 late = now - deadline;
	u32 late_us;
	bool missed = now > deadline;

	s->jobs++;
	if (missed) {
		s->misses++;
		late_us = late >> 32 ? ~0u : mul_div32((u32)late, 1000, s->tsc_khz);
		if (late_us > s->late_us)
			s->late_us = late_us;
	}
	if (!missed && s->jobs % REPORT_EVERY)
		return;
	kit_report(DEADLINE_KIND_MISSES, s->misses);
	kit_report(DEADLINE_KIND_JOBS, s->jobs);
	kit_report(DEADLINE_KIND_LATE_US, s->late_us);
}

void kit_main(struct guest_shared *s) __attribute__((noreturn));
void kit_trap(struct kit_frame *f);

static struct gate idt[IDT_ENTRIES];
static u64 gdt[7];
static struct tss64 tss;
static kit_trap_fn trap_fn;
static u32 timer_vector;
static u32 work_table[256];
static u32 work_state = 0x2545f491;

void kit_set_trap(kit_trap_fn fn)
{
	trap_fn = fn;
}

void kit_set_gate(u32 vector, const void *entry, bool user)
{
	uword at = (uword)entry;

	idt[vector] = (struct gate){
		.offset_low = (u16)at,
		.selector = KIT_SEL_CODE,
		.type = GATE_INTERRUPT | (user ? GATE_USER : 0),
		.offset_high = (u16)(at >> 16),
	};
}

void kit_set_kernel_stack(uword top)
{
	tss.rsp0 = top;
}

static void load_tables(void)
{
	struct table_pointer gdt_ptr = {sizeof(gdt) - 1, (uword)gdt};
	struct table_pointer idt_ptr = {sizeof(idt) - 1, (uword)idt};

#ifdef __x86_64__
	gdt[1] = 0x00af9b000000ffff;
	gdt[4] = 0x00affb000000ffff;
	gdt[5] = (sizeof(tss) - 1) | (u64)(uword)&tss << 16 | 0x89ull << 40;
#else
	gdt[1] = 0x00cf9b000000ffff;
	gdt[4] = 0x00cffb000000ffff;
#endif
	gdt[2] = 0x00cf93000000ffff;
	gdt[3] = 0x00cff3000000ffff;
	for (u32 i = 0; i < KIT_VECTORS; i++)
		kit_set_gate(i, kit_stubs[i], false);
	__asm__ volatile("lgdt %0; lidt %1" : : "m"(gdt_ptr), "m"(idt_ptr) : "memory");
	kit_load_segments();
}

u32 kit_call(u32 call, u32 b, u32 c, u32 d)
{
	u32 result;

	__asm__ volatile("vmcall" : "=a"(result) : "a"(call), "b"(b), "c"(c), "d"(d) : "memory");
	return result;
}

void kit_timer(u64 period_tsc, u32 vector)
{
	timer_vector = vector;
	if (kit_call(HC_TIMER, (u32)period_tsc, (u32)(period_tsc >> 32), vector))
		kit_print("the VMM refused the timer\n");
}

void kit_print(const char *s)
{
	u32 n = 0;

	while (s[n])
		n++;
	kit_call(HC_PRINT, (u32)(uword)s, n, 0);
}

void kit_print_value(const char *s, u64 v)
{
	char buf[96];
	u32 n = 0, digits = 1;

	while (s[n] && n < 64) {
		buf[n] = s[n];
		n++;
	}
	while (digits < 16 && v >> 4 * digits)
		digits++;
	while (digits--)
		buf[n++] = "0123456789abcdef"[v >> 4 * digits & 15];
	buf[n++] = '\n';
	kit_call(HC_PRINT, (u32)(uword)buf, n, 0);
}

void kit_exit(u32 code)
{
	for (;;)
		kit_call(HC_EXIT, code, 0, 0);
}

void kit_trap(struct kit_frame *f)
{
	if (trap_fn && trap_fn(f))
		return;
	if (timer_vector && f->vector == timer_vector)
		return;
	kit_print_value("trap 0x", f->vector);
	kit_print_value("  error 0x", f->error);
	kit_print_value("  at 0x", f->ip);
	kit_print_value("  cr2 0x", cpu_read_cr2());
	kit_exit(EXIT_TRAP + (u32)f->vector);
}

void kit_wait(const volatile u32 *ticks, u32 seen)
{
	cpu_cli();
	if (*ticks == seen)
		__asm__ volatile("sti; hlt" : : : "memory");
	else
		cpu_sti();
}

void kit_work(u32 n)
{
	u32 x = work_state;

	for (; n; n--) {
		x ^= x << 13;
		x ^= x >> 17;
		x ^= x << 5;
		work_table[x & 255] += x;
	}
	work_state = x;
}

#define CALIBRATE_LOOPS 500
#define CALIBRATE_RUNS 16

void kit_calibrate(struct kit_rate *r)
{
	u64 start, took;

	r->loops = CALIBRATE_LOOPS;
	r->tsc = ~0u;
	for (u32 i = 0; i < CALIBRATE_RUNS; i++) {
		start = cpu_tsc();
		kit_work(CALIBRATE_LOOPS);
		took = cpu_tsc() - start;
		if (took < r->tsc)
			r->tsc = took ? (u32)took : 1;
	}
}

u32 kit_loops(const struct kit_rate *r, u32 tsc)
{
	return mul_div32(tsc, r->loops, r->tsc);
}

u32 kit_random(u32 *state)
{
	u32 x = *state;

	x ^= x << 13;
	x ^= x >> 17;
	x ^= x << 5;
	return *state = x;
}

void kit_report(u32 kind, u32 count)
{
	port_out32(PORT_DEADLINE, kind | count << DEADLINE_COUNT_SHIFT);
}

void kit_main(struct guest_shared *s)
{
	load_tables();
	guest_main(s);
}
