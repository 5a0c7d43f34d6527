/*
 * The mixed guest: a real-time and a batch process in one L2 that never halts, each with page
 * tables of its own. At a tick the real-time process runs its job to the end (order=fifo), or the
 * two take turns at each of ten ticks a period (order=rr). With order=fence there are ten ticks,
 * too, the real-time process runs to the end, and at each tick a helper comes in when that is done,
 * or has nothing to do. A parent sees interrupts and loads of CR3 only.
 */
#include "l0/arch/ports.h"
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"
#include "l1-child/lib/str.h"

#define STACK_BYTES 8192
#define LOOPS_PER_UNIT 2000
#define LOOPS_OF_HELPER 100
#define UNITS_PER_REPORT 1024
#define TURNS 10 /* ticks a period, order=rr; below GUEST_TICKS_KEPT */

struct process {
	uword sp; /* while it does not run */
	uword cr3;
};

static struct process batch, realtime, helper, *current = &batch;
static struct guest_shared *shared;
static struct kit_rate rate;
static u32 ticks_per_job = 1, jobs_done, random_state;
static volatile bool job_open; /* begun, and perhaps taken away in the middle */
static u8 stack[STACK_BYTES] __attribute__((aligned(16)));
static u8 helper_stack[STACK_BYTES] __attribute__((aligned(16)));
static u64 roots[2][512]
	__attribute__((aligned(4096))); /* of the real-time process, of the helper */

/* void mixed_switch(uword *save_sp, uword next_sp), interrupts off */
void mixed_switch(uword *save_sp, uword next_sp);
__asm__(".text\n"
	".globl mixed_switch\n"
	"mixed_switch:\n"
	"push %rbx; push %rbp; push %r12; push %r13; push %r14; push %r15\n"
	"mov %rsp, (%rdi)\n"
	"mov %rsi, %rsp\n"
	"pop %r15; pop %r14; pop %r13; pop %r12; pop %rbp; pop %rbx\n"
	"ret\n");

static void switch_to(struct process *next)
{
	struct process *prev = current;

	if (next == prev)
		return;
	current = next;
	cpu_write_cr3(next->cr3);
	mixed_switch(&prev->sp, next->sp);
}

static u32 jobs_due(void)
{
	return shared->ticks / ticks_per_job;
}

static u32 job_loops(void)
{
	u32 vary = shared->vary_permille, work = shared->work_tsc;

	if (vary)
		work = mul_div32(work, 1000 - vary + kit_random(&random_state) % (2 * vary + 1),
				 1000);
	return kit_loops(&rate, work);
}

static void one_job(void)
{
	u32 behind = jobs_due() - jobs_done;
	u64 deadline;

	if (behind > 1) {
		/* The instants of the older ones may be gone: they are missed. */
		shared->jobs += behind - 1;
		shared->misses += behind - 1;
		jobs_done += behind - 1;
		kit_report(DEADLINE_KIND_MISSES, shared->misses);
	}
	job_open = true;
	jobs_done++;
	deadline =
		shared->due_tsc[jobs_done * ticks_per_job % GUEST_TICKS_KEPT] + shared->period_tsc;
	if (cpu_tsc() < deadline)
		kit_work(job_loops());
	kit_job_over(shared, cpu_tsc(), deadline);
	job_open = false;
}

static void realtime_main(void)
{
	for (;;) {
		while (jobs_done != jobs_due()) {
			cpu_sti();
			one_job();
			cpu_cli();
		}
		switch_to(shared->has_fence ? &helper : &batch);
	}
}

static void helper_main(void)
{
	for (;;) {
		kit_work(LOOPS_OF_HELPER);
		cpu_cli();
		switch_to(&batch);
	}
}

/* A stack on which @main starts. */
static uword first_sp(u8 *end, void (*main)(void))
{
	uword *sp = (uword *)(end - 64);

	*--sp = 0; /* nobody to return to */
	*--sp = (uword)main;
	return (uword)(sp - 6);
}

static bool on_trap(struct kit_frame *f)
{
	if (f->vector != shared->vector)
		return false;
	if (shared->round_robin && current == &realtime)
		switch_to(&batch);
	else if (job_open || jobs_done != jobs_due())
		switch_to(&realtime);
	else if (shared->has_fence && current == &batch)
		switch_to(&helper);
	return true;
}

void guest_main(struct guest_shared *s)
{
	shared = s;
	random_state = s->seed;
	if (s->round_robin || s->has_fence)
		ticks_per_job = TURNS;
	kit_calibrate(&rate);
	batch.cr3 = GUEST_TABLES;
	for (u32 i = 0; i < 512; i++)
		roots[0][i] = roots[1][i] = ((u64 *)GUEST_TABLES)[i];
	realtime.cr3 = (uword)roots[0];
	realtime.sp = first_sp(stack + STACK_BYTES, realtime_main);
	helper.cr3 = (uword)roots[1];
	helper.sp = first_sp(helper_stack + STACK_BYTES, helper_main);
	kit_set_trap(on_trap);
	kit_timer(s->period_tsc / ticks_per_job, s->vector);
	jobs_done = jobs_due();
	cpu_sti();
	for (u32 unit = 1;; unit++) {
		kit_work(LOOPS_PER_UNIT);
		s->work++;
		if (unit % UNITS_PER_REPORT == 0)
			kit_report(DEADLINE_KIND_WORK, unit);
	}
}
