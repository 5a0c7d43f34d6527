/* Virtual-8086 mode: entry by IRET, interrupts and faults back to level 0, IOPL, VME redirection.
 */
#include "tests/guests/kit.h"

extern u8 tss[];
extern const u8 code86[], code86_iopl[], code86_int[], code86_end[];

__asm__(".code16\n"
	".globl code86\ncode86:\n"
	"	mov $0x1234, %ax\n"
	"	mov %ax, %ds\n"
	"	mov %ax, 0x10\n" /* linear 12350 */
	"	mov %cs, %bx\n"
	"	ljmp $0x0900, $(1f - code86)\n" /* the same code at 9000 */
	"1:	mov %cs, 0x12\n"
	"	int $0x30\n"
	".globl code86_iopl\ncode86_iopl:\n"
	"	cli\n"
	"	int $0x30\n"
	".globl code86_int\ncode86_int:\n"
	"	int $0x21\n"
	"	int $0x30\n"
	".globl code86_end\ncode86_end:\n"
	".code32\n");

/* Enter virtual-8086 mode at 0800:ip, like at_level3(). */
int enter_v86(u32 ip, u32 flags);
__asm__(".globl enter_v86\nenter_v86:\n"
	"	push %ebx; push %esi; push %edi; push %ebp\n"
	"	movl $-1, trap\n"
	"	mov 20(%esp), %ecx\n"
	"	mov 24(%esp), %edx\n"
	"	mov %esp, kernel_sp\n"
	"	push $0x444; push $0x333; push $0x222; push $0x111\n" /* GS FS DS ES */
	"	push $0x700; push $0x0ff0\n"
	"	push %edx; push $0x800; push %ecx\n"
	"	iret\n");

/* A handler for faults in virtual-8086 mode is the common one: CS of the frame has no RPL there, so
 * on_exception() would go on; this one leaves. */
extern void v86_leave_gp(void), v86_leave_30(void);
void v86_note(u32 vector, u32 error, const u32 *frame);
void leave_level3(void);
static volatile u32 v86_cs, v86_ip, v86_flags, v86_es, v86_gs, v86_error;
__asm__(".globl v86_leave_gp\nv86_leave_gp:\n"
	"	mov $0x10, %eax; mov %eax, %ds; mov %eax, %es\n"
	"	mov %esp, %eax; add $4, %eax; push %eax; pushl 4(%esp); push $13; call v86_note\n"
	"	jmp leave_level3\n"
	".globl v86_leave_30\nv86_leave_30:\n"
	"	mov $0x10, %eax; mov %eax, %ds; mov %eax, %es\n"
	"	mov %esp, %eax; push %eax; push $0; push $0x30; call v86_note\n"
	"	jmp leave_level3\n");

void v86_note(u32 vector, u32 error, const u32 *frame)
{
	trap.vector = (int)vector;
	v86_error = error;
	v86_ip = frame[0];
	v86_cs = frame[1];
	v86_flags = frame[2];
	v86_es = frame[5];
	v86_gs = frame[8];
}

static const u8 handler86[] = {0x2e, 0xc6, 0x06, 0x00,
			       0x02, 0x99, 0xcf}; /* movb $0x99, %cs:0x200; iret */

static void load(u32 at)
{
	for (u32 i = 0; code86 + i < code86_end; i++)
		((volatile u8 *)at)[i] = code86[i];
}

int main(void)
{
	u32 iopl_ip = (u32)(code86_iopl - code86), int_ip = (u32)(code86_int - code86);

	load(0x8000);
	load(0x9000);
	set_gate(VECTOR_GP, v86_leave_gp, 0);
	set_gate(0x30, v86_leave_30, 3);

	put("enter and leave\n");
	CHECK_EQ(enter_v86(0, RFLAGS_VM | RFLAGS_IOPL | 2), -1);
	CHECK_EQ(*(volatile u16 *)0x12350, 0x1234);
	CHECK_EQ(*(volatile u16 *)0x12352, 0x0900);
	CHECK(v86_flags & RFLAGS_VM);
	CHECK_EQ(v86_cs, 0x900);
	CHECK_EQ(v86_es, 0x111);
	CHECK_EQ(v86_gs, 0x444);

	put("IOPL\n");
	CHECK_EQ(enter_v86(iopl_ip, RFLAGS_VM | 2), VECTOR_GP);
	CHECK_EQ(v86_error, 0);
	CHECK_EQ(v86_ip, iopl_ip);
	CHECK_EQ(enter_v86(int_ip, RFLAGS_VM | 2), VECTOR_GP);
	CHECK_EQ(v86_ip, int_ip);

	put("redirection\n");
	if (TRY("mov %%cr4, %%eax; or $1, %%eax; mov %%eax, %%cr4") != -1) {
		put("CR4.VME not offered\n");
		return 0;
	}
	/* TSS: 32 bytes of redirection bitmap, then an empty I/O bitmap; only INT 30 goes to level
	 * 0 */
	*(volatile u16 *)(tss + 102) = 0x68 + 32;
	tss[0x68 + 0x30 / 8] = 1 << (0x30 % 8);
	gdt[SEL_TSS / 8] = descriptor((u32)tss, 0x68 + 32, 0x0089);
	__asm__ volatile("ltr %0" : : "r"((u16)SEL_TSS));
	*(volatile u32 *)(0x21 * 4) = 0x0a000100;
	for (u32 i = 0; i < sizeof(handler86); i++)
		((volatile u8 *)0xa100)[i] = handler86[i];
	*(volatile u8 *)0xa200 = 0;
	CHECK_EQ(enter_v86(int_ip, RFLAGS_VM | 2), VECTOR_GP); /* INT 30 with IOPL 0 */
	CHECK_EQ(v86_ip, int_ip + 2);
	CHECK_EQ(*(volatile u8 *)0xa200, 0x99);
	/* CLI and STI act on VIF */
	CHECK_EQ(enter_v86(iopl_ip, RFLAGS_VM | RFLAGS_VIF | 2), VECTOR_GP);
	CHECK_EQ(v86_ip, iopl_ip + 1);
	CHECK(!(v86_flags & RFLAGS_VIF));
	return 0;
}
