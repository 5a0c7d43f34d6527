/*
 * VMCSs used as only another processor would punish: current on two processors, moved without
 * VMCLEAR, written in memory while active; then properly, so that nothing more is to be said. For
 * --cpus 2 and --explain (tests/nested/misuse_test.sh). Every VMPTRLD succeeds.
 */
#include "tests/guests/kit.h"

#define MSR_APIC_BASE 0x1bu
#define APIC_BASE_X2APIC 0xc00ull
#define MSR_X2APIC_ICR 0x830u
#define ICR_INIT_OTHERS 0xc4500ull
#define ICR_SIPI_OTHERS 0xc4600ull
#define MSR_FEATURE_CONTROL 0x3au
#define MSR_VMX_BASIC 0x480u
#define MSR_EFER 0xc0000080u
#define AP_PAGE 0x8ul /* the start-up vector: it begins at 0x8000 */
#define AP_ARGS 0x8f00ul

/* What the trampoline takes from AP_ARGS. */
struct ap_args {
	u16 gdt_limit;
	u64 gdt_base;
	u8 pad[6];
	u64 cr3, cr4;
} __attribute__((packed));

enum order { ORDER_NONE, ORDER_LOAD, ORDER_CLEAR };

static u8 page[5][4096] __attribute__((aligned(4096)));
static u8 ap_stack[4096] __attribute__((aligned(16), used));
static volatile u32 ap_order, ap_ready;
static volatile u64 ap_operand;
static volatile bool ap_ok;

void ap_main(void);

/* Real mode to 64-bit mode with this program's tables. */
__asm__(".pushsection .text\n"
	".globl ap_begin, ap_end\n"
	".code16\n"
	"ap_begin:	xor %ax, %ax\n"
	"	mov %ax, %ds\n"
	"	lgdtl 0x8f00\n"
	"	mov 0x8f10, %eax\n"
	"	mov %eax, %cr3\n"
	"	mov 0x8f18, %eax\n"
	"	mov %eax, %cr4\n"
	"	mov $0xc0000080, %ecx\n"
	"	rdmsr\n"
	"	or $0x100, %eax\n"
	"	wrmsr\n"
	"	mov $0x80000021, %eax\n"
	"	mov %eax, %cr0\n"
	"	ljmpl $0x08, $ap_long\n"
	"ap_end:\n"
	".code64\n"
	"ap_long:	mov $0x10, %eax\n"
	"	mov %eax, %ds\n"
	"	mov %eax, %es\n"
	"	mov %eax, %ss\n"
	"	mov $ap_stack + 4096, %rsp\n"
	"	call ap_main\n"
	".popsection\n");
extern const u8 ap_begin[], ap_end[];

static void wr(u32 msr, u64 v)
{
	__asm__ volatile("wrmsr" : : "c"(msr), "a"((u32)v), "d"((u32)(v >> 32)) : "memory");
}

static u64 cr(u32 n)
{
	u64 v;

	if (n == 3)
		__asm__ volatile("mov %%cr3, %0" : "=r"(v));
	else
		__asm__ volatile("mov %%cr4, %0" : "=r"(v));
	return v;
}

#define VMX(insn, ptr) \
	({ \
		u64 vmx_ptr_ = (ptr); \
		bool vmx_ok_; \
		__asm__ volatile(insn " %1" : "=@cca"(vmx_ok_) : "m"(vmx_ptr_) : "memory", "cc"); \
		vmx_ok_; \
	})

static bool vmx_on(u64 region)
{
	u64 control = rdmsr(MSR_FEATURE_CONTROL), c0;

	if (!(control & 1))
		wr(MSR_FEATURE_CONTROL, control | 5);
	__asm__ volatile("mov %%cr0, %0" : "=r"(c0));
	__asm__ volatile("mov %0, %%cr0" : : "r"(c0 | 0x20)); /* NE */
	__asm__ volatile("mov %0, %%cr4" : : "r"(cr(4) | 0x2000)); /* VMXE */
	return VMX("vmxon", region);
}

void ap_main(void)
{
	ap_ok = vmx_on((u64)page[4]);
	ap_ready = 1;
	for (;;) {
		while (!ap_order)
			__asm__ volatile("pause");
		ap_ok = ap_order == ORDER_LOAD ? VMX("vmptrld", ap_operand) : VMX("vmclear", ap_operand);
		ap_order = ORDER_NONE;
	}
}

static bool other(enum order order, const u8 *vmcs)
{
	ap_operand = (u64)vmcs;
	ap_order = order;
	while (ap_order)
		__asm__ volatile("pause");
	return ap_ok;
}

static bool load(const u8 *vmcs)
{
	return VMX("vmptrld", (u64)vmcs);
}

static bool clear(const u8 *vmcs)
{
	return VMX("vmclear", (u64)vmcs);
}

static void start_other(void)
{
	struct ap_args *args = (struct ap_args *)AP_ARGS;
	volatile u8 *to = (volatile u8 *)(AP_PAGE << 12);

	for (u64 i = 0; i < (u64)(ap_end - ap_begin); i++)
		to[i] = ap_begin[i];
	__asm__ volatile("sgdt %0" : "=m"(*args));
	args->cr3 = cr(3);
	args->cr4 = cr(4);
	wr(MSR_APIC_BASE, rdmsr(MSR_APIC_BASE) | APIC_BASE_X2APIC);
	wr(MSR_X2APIC_ICR, ICR_INIT_OTHERS);
	wr(MSR_X2APIC_ICR, ICR_SIPI_OTHERS | AP_PAGE);
	while (!ap_ready)
		__asm__ volatile("pause");
	CHECK(ap_ok);
}

int main(void)
{
	u8 *a = page[0], *b = page[1], *c = page[2];

	for (u32 i = 0; i < 5; i++)
		*(u32 *)page[i] = (u32)rdmsr(MSR_VMX_BASIC);
	start_other();
	CHECK(vmx_on((u64)page[3]));
	/* properly: nothing to say */
	CHECK(clear(a) && load(a) && clear(a));
	a[3000] = 1;
	CHECK(other(ORDER_LOAD, a) && other(ORDER_CLEAR, a));
	put("proper\n");
	CHECK(load(a));
	CHECK(other(ORDER_LOAD, a));
	put("active on two\n");
	CHECK(load(b) && other(ORDER_LOAD, c));
	CHECK(load(a));
	put("no vmclear\n");
	CHECK(load(b));
	for (u32 i = 64; i < 1024; i++)
		a[i] ^= 0x40;
	CHECK(load(a));
	put("memory written\n");
	finish();
}
