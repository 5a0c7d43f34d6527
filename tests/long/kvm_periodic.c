/*
 * kvm_periodic.c - lab 8: runs inside a Linux that nestor boots, beside others: a periodic
 * real-time guest and a batch guest of that Linux' KVM. The first runs in a process with
 * SCHED_FIFO; each period, by its APIC timer (TSC deadline), it works for `work`, and counts what
 * was not done by the end of the period. The counts go to the deadline port of the machine
 * (l0/arch/ports.h), from the hundredth job on.
 *
 *	kvm_periodic PERIOD_US WORK_US NS_PER_INSTRUCTION
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l0/arch/ports.h"

#define RAM_BYTES 0x10000
#define CODE_AT 0x1000
#define IDT_AT 0x2000
#define GDT_AT 0x2800
#define SHARED_AT 0x3000
#define STACK_AT 0x8000
#define VECTOR 0x40
#define JOBS_PER_REPORT 100
#define SETTLE_JOBS 100
#define TSC_PER_US 1000 /* of nestor's clock */

/* What the guest and this program share. */
struct shared {
	unsigned int jobs, misses, period_tsc, loops, ticks, next[2], until_report;
};

/* 32-bit protected mode, flat; the offsets are those of struct shared. */
__asm__(".pushsection .rodata\n"
	".code32\n"
	"rt_code:\n"
	"	mov $0x1b, %ecx\n rdmsr\n or $0xc00, %eax\n wrmsr\n"		/* x2APIC */
	"	mov $0x80f, %ecx\n mov $0x1ff, %eax\n xor %edx, %edx\n wrmsr\n" /* on */
	"	mov $0x832, %ecx\n mov $0x40040, %eax\n wrmsr\n" /* timer: TSC deadline */
	"	rdtsc\n mov %eax, 0x3014\n mov %edx, 0x3018\n"
	"1:	mov 0x3014, %eax\n mov 0x3018, %edx\n add 0x3008, %eax\n adc $0, %edx\n"
	"	mov %eax, 0x3014\n mov %edx, 0x3018\n"
	"	mov $0x6e0, %ecx\n wrmsr\n"
	"2:	cli\n cmpl $0, 0x3010\n jne 3f\n sti\n hlt\n jmp 2b\n"
	"3:	movl $0, 0x3010\n sti\n"
	"	mov 0x300c, %ecx\n"
	"4:	dec %ecx\n jnz 4b\n"
	"	rdtsc\n sub 0x3014, %eax\n sbb 0x3018, %edx\n"
	"	divl 0x3008\n" /* periods that it is late */
	"	test %eax, %eax\n jz 5f\n"
	"	add %eax, 0x3004\n"
	"	lea -1(%eax), %ecx\n add %ecx, 0x3000\n"
	"	mov %ecx, %eax\n mull 0x3008\n add %eax, 0x3014\n adc %edx, 0x3018\n"
	"5:	incl 0x3000\n"
	"	decl 0x301c\n jnz 1b\n"
	"	movl $100, 0x301c\n"
	"	out %al, $0x80\n"
	"	jmp 1b\n"
	"rt_tick:\n"
	"	push %eax\n push %ecx\n push %edx\n"
	"	incl 0x3010\n"
	"	mov $0x80b, %ecx\n xor %eax, %eax\n xor %edx, %edx\n wrmsr\n"
	"	pop %edx\n pop %ecx\n pop %eax\n"
	"	iret\n"
	"rt_code_end:\n"
	"batch_code:\n"
	"1:	mov $0x1000000, %ecx\n"
	"2:	dec %ecx\n jnz 2b\n"
	"	out %al, $0x80\n"
	"	jmp 1b\n"
	"batch_code_end:\n"
	".code64\n"
	".popsection\n");
extern const char rt_code[], rt_tick[], rt_code_end[], batch_code[], batch_code_end[];

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static void report(unsigned int guest, unsigned int kind, unsigned int count)
{
	outl(kind << DEADLINE_KIND_SHIFT | guest << DEADLINE_GUEST_SHIFT |
		     count << DEADLINE_COUNT_SHIFT,
	     PORT_DEADLINE);
}

static void set_cpuid(int kvm, int cpu)
{
	static struct {
		struct kvm_cpuid2 c;
		struct kvm_cpuid_entry2 e[100];
	} id = {.c.nent = 100};

	if (ioctl(kvm, KVM_GET_SUPPORTED_CPUID, &id))
		fail("KVM_GET_SUPPORTED_CPUID");
	for (unsigned int i = 0; i < id.c.nent; i++)
		if (id.c.entries[i].function == 1)
			/* x2APIC, TSC deadline: KVM's own */
			id.c.entries[i].ecx |= 1u << 21 | 1u << 24;
	if (ioctl(cpu, KVM_SET_CPUID2, &id))
		fail("KVM_SET_CPUID2");
}

static void set_registers(int cpu)
{
	struct kvm_segment code = {
		.limit = ~0u, .selector = 0x10, .type = 11, .present = 1, .s = 1, .db = 1, .g = 1};
	struct kvm_segment data = code;
	struct kvm_regs g = {.rip = CODE_AT, .rflags = 2, .rsp = STACK_AT};
	struct kvm_sregs s;

	if (ioctl(cpu, KVM_GET_SREGS, &s))
		fail("KVM_GET_SREGS");
	data.type = 3;
	data.selector = 0x18;
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.gdt = (struct kvm_dtable){.base = GDT_AT, .limit = 0x1f};
	s.idt = (struct kvm_dtable){.base = IDT_AT, .limit = 8 * (VECTOR + 1) - 1};
	s.cr0 |= 1;
	if (ioctl(cpu, KVM_SET_SREGS, &s) || ioctl(cpu, KVM_SET_REGS, &g))
		fail("registers");
}

static void fill_tables(char *ram)
{
	static const unsigned long long gdt[] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
	unsigned int tick = CODE_AT + (unsigned int)(rt_tick - rt_code);
	unsigned int gate[] = {0x10u << 16 | (tick & 0xffff), (tick & 0xffff0000) | 0x8e00};

	memcpy(ram + GDT_AT, gdt, sizeof(gdt));
	memcpy(ram + IDT_AT + 8 * VECTOR, gate, sizeof(gate));
}

/* Runs @code as a guest for good; @each is called at each of its outputs. */
static void run_guest(const char *code, const char *end, const struct shared *start,
		      void (*each)(const volatile struct shared *s))
{
	int kvm = open("/dev/kvm", O_RDWR), vm = ioctl(kvm, KVM_CREATE_VM, 0);
	char *ram =
		mmap(NULL, RAM_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_userspace_memory_region region = {.memory_size = RAM_BYTES,
						     .userspace_addr = (unsigned long)ram};

	if (vm < 0 || ioctl(vm, KVM_SET_TSS_ADDR, 0xfffbd000) || ioctl(vm, KVM_CREATE_IRQCHIP, 0) ||
	    ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region))
		fail("virtual machine");
	int cpu = ioctl(vm, KVM_CREATE_VCPU, 0);
	struct kvm_run *run = mmap(NULL, (size_t)ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0),
				   PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	memcpy(ram + CODE_AT, code, (size_t)(end - code));
	memcpy(ram + SHARED_AT, start, sizeof(*start));
	fill_tables(ram);
	set_cpuid(kvm, cpu);
	set_registers(cpu);
	for (;;) {
		if (ioctl(cpu, KVM_RUN, 0))
			fail("KVM_RUN");
		if (run->exit_reason != KVM_EXIT_IO) {
			printf("unexpected exit %u\n", run->exit_reason);
			exit(1);
		}
		each((const volatile struct shared *)(ram + SHARED_AT));
	}
}

static void rt_reports(const volatile struct shared *s)
{
	static unsigned int jobs, misses;

	if (!jobs) {
		jobs = s->jobs;
		misses = s->misses;
		printf("the real-time guest counts from here on (%u of %u missed)\n", misses, jobs);
		return;
	}
	report(0, DEADLINE_KIND_JOBS, s->jobs - jobs);
	report(0, DEADLINE_KIND_MISSES, s->misses - misses);
}

static void batch_reports(const volatile struct shared *s)
{
	static unsigned int work;

	(void)s;
	report(1, DEADLINE_KIND_WORK, ++work);
}

int main(int argc, char **argv)
{
	if (argc != 4 || iopl(3))
		return 2;
	unsigned int period = (unsigned int)atoi(argv[1]), work = (unsigned int)atoi(argv[2]),
		     ns = (unsigned int)atoi(argv[3]);
	const struct shared start = {
		.period_tsc = period * TSC_PER_US,
		.loops = work * 1000 / (2 * ns), /* two instructions each */
		.until_report = SETTLE_JOBS,
	};
	struct sched_param fifo = {.sched_priority = 50};

	if (fork() == 0)
		run_guest(batch_code, batch_code_end, &start, batch_reports);
	if (sched_setscheduler(0, SCHED_FIFO, &fifo))
		fail("SCHED_FIFO");
	run_guest(rt_code, rt_code_end, &start, rt_reports);
	return 1;
}
