#include "l0/arch/ports.h"
#include "tests/guests/kit.h"

volatile struct trap trap = {.vector = -1};
ulong recover_ip;
u32 failures;

void put(const char *s)
{
	for (; *s; s++)
		outb(PORT_DEBUG_CONSOLE, (u8)*s);
}

void put_hex(ulong v)
{
	char buf[2 * sizeof(v) + 1];
	char *p = buf + sizeof(buf) - 1;

	*p = 0;
	do
		*--p = "0123456789abcdef"[v & 15];
	while (v >>= 4);
	put(p);
}

static void fail_at(const char *what, const char *file, int line)
{
	failures++;
	put("FAIL ");
	put(file);
	put(":0x");
	put_hex((ulong)line);
	put(" ");
	put(what);
}

void check(bool ok, const char *what, const char *file, int line)
{
	if (ok)
		return;
	fail_at(what, file, line);
	put("\n");
}

void check_eq(ulong a, ulong b, const char *what, const char *file, int line)
{
	if (a == b)
		return;
	fail_at(what, file, line);
	put(": ");
	put_hex(a);
	put(" and ");
	put_hex(b);
	put("\n");
}

void finish(void)
{
	put(failures ? "failed\n" : "passed\n");
	__asm__ volatile("outl %0, %1" : : "a"(failures), "Nd"((u16)PORT_DEBUG_EXIT));
	for (;;)
		__asm__ volatile("cli; hlt");
}

u64 descriptor(u32 base, u32 limit, u32 ar)
{
	return (limit & 0xffff) | (u64)(base & 0xffffff) << 16 | (u64)(ar & 0xff) << 40 |
	       (u64)(limit >> 16 & 0xf) << 48 | (u64)(ar >> 12 & 0xf) << 52 |
	       (u64)(base >> 24) << 56;
}

void set_gate_raw(u32 vector, u16 sel, ulong off, u32 type, u32 dpl, u32 ist)
{
	u64 lo = (off & 0xffff) | (u64)sel << 16 | (u64)ist << 32 |
		 (u64)(0x80 | dpl << 5 | type) << 40 | (u64)(off >> 16 & 0xffff) << 48;

#ifdef __x86_64__
	idt[2 * vector] = lo;
	idt[2 * vector + 1] = off >> 32;
#else
	idt[vector] = lo;
#endif
}

void set_gate(u32 vector, void (*handler)(void), u32 dpl)
{
	set_gate_raw(vector, SEL_CODE, (ulong)handler, 14, dpl, 0);
}

/* What the stubs of start*.S push. */
struct frame {
#ifdef __x86_64__
	ulong r[15];
#else
	ulong r[8];
#endif
	ulong vector, error, ip, cs, flags, sp, ss;
};

void on_exception(struct frame *f);
void leave_level3(void) __attribute__((noreturn));

void on_exception(struct frame *f)
{
	trap.vector = (int)f->vector;
	trap.error = f->error;
	trap.ip = f->ip;
	trap.cs = f->cs;
	trap.flags = f->flags;
	trap.cr2 = READ_CR(2);
	trap.count++;
	if (f->cs & 3) {
		trap.sp = f->sp;
		leave_level3();
	}
	if (f->vector == VECTOR_DB || f->vector == VECTOR_BP || f->vector >= 32) {
		f->flags &= ~RFLAGS_TF; /* traps: just go on */
		return;
	}
	if (!recover_ip) {
		put("unexpected vector 0x");
		put_hex(f->vector);
		put(" error 0x");
		put_hex(f->error);
		put(" at 0x");
		put_hex(f->ip);
		put("\n");
		failures++;
		finish();
	}
	f->ip = recover_ip;
	f->flags &= ~(RFLAGS_TF | RFLAGS_NT);
	recover_ip = 0;
}
