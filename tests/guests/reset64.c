/*
 * Resets the machine in each way that there is, then ends; for --reset reboot. The number of the
 * boot is kept in the clock's CMOS, which a reset leaves alone. Each boot finds a machine as after
 * power-up
 * although the one before has used it: memory, processors in guest mode of the APIC, devices.
 */
#include "tests/guests/kit.h"
#include "tests/guests/x2apic.h"

#define CMOS_BOOTS 0x60
#define MSR_LSTAR 0xc0000082u

static volatile u64 *const marker = (volatile u64 *)0x200000;
static volatile u8 *const ap_page = (volatile u8 *)0x8000;

static void wr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static void use_everything(void)
{
	*marker = 0x1234;
	wr(MSR_LSTAR, 0x5678);
	__asm__ volatile("mov %0, %%dr0" : : "r"(0x9abcul));
	__asm__ volatile("movq %0, %%xmm3" : : "r"(~0ul));
	outb(0x21, 0x5a);  /* 8259 mask */
	outb(0x3ff, 0x77); /* scratch register of the 16550 */
	wr(MSR_IA32_APIC_BASE, rdmsr(MSR_IA32_APIC_BASE) | APIC_BASE_X2APIC);
	ap_page[0] = 0xeb; /* others: jmp to itself */
	ap_page[1] = 0xfe;
	wr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | 8);
}

/* Needs --triple-fault reset. */
static void triple_fault(void)
{
	static const struct {
		u16 limit;
		u64 base;
	} __attribute__((packed)) none;

	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

int main(void)
{
	u64 dr0, xmm3;
	u8 boots;

	__asm__ volatile("mov %%cr4, %0; or $0x200, %0; mov %0, %%cr4" : "=r"(dr0)); /* OSFXSR */
	outb(0x70, CMOS_BOOTS);
	boots = inb(0x71);
	put("boot ");
	put_hex(boots);
	put("\n");
	__asm__ volatile("mov %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("movq %%xmm3, %0" : "=r"(xmm3));
	CHECK_EQ(*marker, 0);
	CHECK_EQ(rdmsr(MSR_LSTAR), 0);
	CHECK_EQ(rdmsr(MSR_IA32_APIC_BASE) & APIC_BASE_X2APIC, 0);
	CHECK_EQ(dr0, 0);
	CHECK_EQ(xmm3, 0);
	CHECK(inb(0x21) != 0x5a);
	CHECK(inb(0x3ff) != 0x77);
	if (boots == 5 || failures)
		finish();
	use_everything();
	outb(0x70, CMOS_BOOTS);
	outb(0x71, boots + 1);
	switch (boots) {
	case 0: outb(0xcf9, 0x06); break;
	case 1: outb(0x64, 0xfe); break;
	case 2: outb(0x92, 0x01); break;
	case 3: outb(0xcf9, 0x0e); break;
	default: triple_fault();
	}
	for (;;)
		__asm__ volatile("pause");
}
