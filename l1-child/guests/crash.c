/* The guest that goes wrong, in the way that n= chooses, to show that only it stops. */
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"

static void triple_fault(void)
{
	struct {
		u16 limit;
		uword base;
	} __attribute__((packed)) none = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void outside_memory(const struct guest_shared *s)
{
	*(volatile u32 *)(uword)s->ram_bytes = 1;
}

static void string_output(void)
{
	const void *p = (const void *)GUEST_IMAGE;
	uword n = 4;

	__asm__ volatile("rep outsb" : "+S"(p), "+c"(n) : "d"(0x3f8) : "memory");
}

void guest_main(struct guest_shared *s)
{
	switch (s->processes) {
	case 0: triple_fault(); break;
	case 1: outside_memory(s); break;
	case 2: string_output(); break;
	case 3: __asm__ volatile("ud2"); break;
	default: break;
	}
	kit_exit(s->processes);
}
