#include "l1-child/guests/procs.h"

#include "l0/arch/ports.h"
#include "l1-child/lib/cpu.h"

#define VECTOR_PF 14
#define PF_PRESENT 1u
#define PF_USER 4u
#define FLAGS_IF 0x200ull
#define FLAGS_FIXED 0x2ull
#define MSR_EFER 0xc0000080
#define EFER_SCE 1ull
#define MSR_STAR 0xc0000081
#define MSR_LSTAR 0xc0000082
#define MSR_FMASK 0xc0000084
#define FMASK_BITS 0x47700ull /* AC, NT, IOPL, DF, IF, TF */
#define POOL_START 0x200000
#define FRAMES_PER_PROCESS 40 /* fewer than USER_PAGES: frames are taken back */
#define MAX_PROCESSES 16

struct process {
	u64 sp; /* of the kernel stack while it does not run */
	u64 cr3;
	u32 number;
	u32 starts;
	u8 kstack[KSTACK_BYTES] __attribute__((aligned(KSTACK_BYTES))); /* as kernels do */
};

static struct process processes[MAX_PROCESSES];
static struct process *current;
static struct guest_shared *shared;
static u32 process_count;

static u64 kstack_top(struct process *p)
{
	return (u64)(p->kstack + KSTACK_BYTES);
}

/* The frame that a process's kernel stack holds when it enters user mode for the first time. */
static void fill_frame(struct process *p, struct kit_frame *f)
{
	*f = (struct kit_frame){
		.di = p->number,
		.ip = USER_TEXT + ((u64)procs_user_start - (u64)user_start),
		.cs = KIT_SEL_UCODE | KIT_SEL_RPL3,
		.flags = FLAGS_IF | FLAGS_FIXED,
		.sp = USER_STACK_TOP,
		.ss = KIT_SEL_UDATA | KIT_SEL_RPL3,
	};
}

static void make_process(struct process *p, u32 number)
{
	struct kit_frame *f = (struct kit_frame *)kstack_top(p) - 1;
	u64 *sp = (u64 *)f;

	p->number = number;
	p->cr3 = uvm_create(number);
	p->starts = 1;
	fill_frame(p, f);
	*--sp = (u64)kit_trap_return;
	for (u32 i = 0; i < 6; i++)
		*--sp = 0; /* what procs_switch pops */
	p->sp = (u64)sp;
}

static void use(struct process *p)
{
	current = p;
	kit_set_kernel_stack(kstack_top(p));
	procs_kernel_stack = kstack_top(p);
	cpu_write_cr3(p->cr3);
}

static void next_process(void)
{
	struct process *prev = current;
	struct process *next = &processes[(prev->number + 1) % process_count];

	if (next == prev)
		return;
	use(next);
	procs_switch(&prev->sp, next->sp);
}

/* The process starts anew, in an address space of its own. */
static void exec_again(struct kit_frame *f)
{
	u64 old = current->cr3;

	current->cr3 = uvm_create(current->number);
	cpu_write_cr3(current->cr3);
	uvm_destroy(old, current->number);
	current->starts++;
	shared->work++;
	fill_frame(current, f);
}

void procs_system_call(struct kit_frame *f)
{
	if ((u32)f->ax == SYS_YIELD) {
		next_process();
	} else if ((u32)f->ax == SYS_EXIT && f->di == 0) {
		exec_again(f);
	} else {
		kit_print_value("procs: a process failed, code 0x", f->di);
		kit_exit(3);
	}
}

static bool on_trap(struct kit_frame *f)
{
	if (f->vector == shared->vector) {
		shared->jobs++;
		if (f->cs & KIT_SEL_RPL3)
			next_process();
		return true;
	}
	if (f->vector == VECTOR_PF && (f->error & (PF_USER | PF_PRESENT)) == PF_USER) {
		shared->faults++;
		return uvm_fault(current->cr3, current->number, cpu_read_cr2());
	}
	return false;
}

static void set_system_calls(void)
{
	cpu_wrmsr(MSR_EFER, cpu_rdmsr(MSR_EFER) | EFER_SCE);
	cpu_wrmsr(MSR_STAR, (u64)(KIT_SEL_DATA | KIT_SEL_RPL3) << 48 | (u64)KIT_SEL_CODE << 32);
	cpu_wrmsr(MSR_LSTAR, (u64)procs_syscall_entry);
	cpu_wrmsr(MSR_FMASK, FMASK_BITS);
	kit_set_gate(VECTOR_SYSTEM, (const void *)procs_int80_entry, true);
}

void guest_main(struct guest_shared *s)
{
	u64 boot_sp;

	shared = s;
	process_count = s->processes;
	kit_set_trap(on_trap);
	set_system_calls();
	uvm_init(POOL_START, s->ram_bytes, FRAMES_PER_PROCESS * process_count);
	for (u32 i = 0; i < process_count; i++)
		make_process(&processes[i], i);
	kit_timer(s->period_tsc, s->vector);
	use(&processes[0]);
	procs_switch(&boot_sp, processes[0].sp);
	kit_exit(4); /* nobody comes back here */
}
