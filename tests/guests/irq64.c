/*
 * Interrupts: the 8254 through the 8259 wakes HLT, the STI shadow, CLI, CR8, an interrupt out of
 * level 3, and a tick while a REP string instruction runs.
 */
#include "l0/arch/ports.h"
#include "tests/guests/kit.h"

static volatile ulong ticks, tick_ip, tick_cs;
extern void tick_handler(void);

void on_tick(const ulong *frame);
void on_tick(const ulong *frame)
{
	ticks++;
	tick_ip = frame[0];
	tick_cs = frame[1];
	outb(PORT_PIC1_CMD, 0x20);
}
__asm__(".globl tick_handler\ntick_handler:\n"
	"	push %rax; push %rcx; push %rdx; push %rsi; push %rdi; push %r8; push %r9; push "
	"%r10; push %r11\n"
	"	lea 72(%rsp), %rdi\n"
	"	cld\n"
	"	call on_tick\n"
	"	pop %r11; pop %r10; pop %r9; pop %r8; pop %rdi; pop %rsi; pop %rdx; pop %rcx; pop "
	"%rax\n"
	"	iretq\n");

static void start_timer(u32 hz)
{
	u32 n = PIT_HZ / hz;

	outb(PORT_PIC1_CMD, 0x11);
	outb(PORT_PIC2_CMD, 0x11);
	outb(PORT_PIC1_DATA, 0x38); /* vectors 38.. */
	outb(PORT_PIC2_DATA, 0x40);
	outb(PORT_PIC1_DATA, 4);
	outb(PORT_PIC2_DATA, 2);
	outb(PORT_PIC1_DATA, 1);
	outb(PORT_PIC2_DATA, 1);
	outb(PORT_PIC1_DATA, 0xfe); /* only the timer */
	outb(PORT_PIC2_DATA, 0xff);
	outb(PORT_PIT_CMD, 0x34);
	outb(PORT_PIT_CH0, (u8)n);
	outb(PORT_PIT_CH0, (u8)(n >> 8));
}

static void user_spin(void)
{
	ulong before = ticks;

	while (ticks == before)
		__asm__ volatile("pause");
}

static u8 area[65536];

int main(void)
{
	set_gate(0x38, tick_handler, 0);
	put("halt and wake\n");
	start_timer(1000);
	for (u32 i = 0; i < 20; i++)
		__asm__ volatile("sti; hlt; cli");
	CHECK(ticks >= 20);

	put("interrupts disabled\n");
	ulong before = ticks;

	outb(PORT_PIC1_CMD, 0x0a); /* read the requests: until the next tick waits */
	while (!(inb(PORT_PIC1_CMD) & 1))
		__asm__ volatile("pause");
	CHECK_EQ(ticks, before);
	/* the pending one comes after the instruction that follows STI */
	ulong shadow_end;

	__asm__ volatile("lea 1f(%%rip), %0; sti; nop; 1: cli" : "=r"(shadow_end) : : "memory");
	/* by the host's clock the next one may be due when the first returns */
	CHECK(ticks > before);
	CHECK_EQ(tick_ip, shadow_end);

	put("out of level 3\n");
	__asm__ volatile("sti");
	CHECK_EQ(at_level3(user_spin), -1);
	CHECK_EQ(tick_cs, SEL_UCODE);

	put("string instructions\n");
	before = ticks;
	u64 sum = 0;

	__asm__ volatile("sti"); /* the way back from level 3 is an interrupt gate */

	while (ticks < before + 5) {
		void *p = area;
		ulong n = sizeof(area);

		__asm__ volatile("rep stosb" : "+D"(p), "+c"(n) : "a"(0x11) : "memory");
		CHECK_EQ(n, 0);
		CHECK_EQ((ulong)p, (ulong)area + sizeof(area));
		sum++;
	}
	for (u32 i = 0; i < sizeof(area); i++)
		if (area[i] != 0x11) {
			CHECK_EQ(area[i], 0x11);
			break;
		}
	__asm__ volatile("cli");
	CHECK(sum > 0);

	put("task priority\n");
	WRITE_CR(8, 5);
	CHECK_EQ(READ_CR(8), 5);
	WRITE_CR(8, 0);
	CHECK_EQ(TRY_A("mov %%rax, %%cr8", 16), VECTOR_GP);
	return 0;
}
