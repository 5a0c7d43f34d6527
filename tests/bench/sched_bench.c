/*
 * What a scheduling decision costs with 1,000 virtual processors, by policy: an interrupt that is
 * due, the wake-up, the choice, the end of the slice; and the memory of the scheduler for each of
 * them.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "l0/arch/events.h"
#include "l0/arch/vmexit.h"
#include "l0/sched/sched.h"
#include "trace/transition.h"

#define VPS 1000u
#define PER_MACHINE 32u
#define WORKERS 4u
#define ROUNDS 400000u

static struct sched s;
static struct sched_vp vp[VPS];

static u64 cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (u64)ts.tv_sec * NS_PER_SEC + (u64)ts.tv_nsec;
}

static void interrupt_is_due(u32 i, u64 now)
{
	struct transition t = {
		.vtime_ns = now, .kind = TRANSITION_intr_due, .vcpu_id = vp[i].vcpu_id, .level = 1};
	const struct ev_intr_due due = {.due_ns = now, .source = INTR_SOURCE_LAPIC_TIMER};

	memcpy(t.p, &due, sizeof(due));
	sched_transition(&s, &t);
}

static void guest(u32 worker, u64 now, u32 kind)
{
	struct transition t = {.vtime_ns = now,
			       .kind = kind,
			       .level = 2,
			       .worker = (u16)worker,
			       .vcpu_id = EVENT_ID_TRACKED | s.running[worker]->vcpu_id};
	const struct ev_vm_entry entry = {.intr_info = INTR_INFO_VALID | 32};
	const struct ev_vm_exit halt = {.exit_reason = EXIT_REASON_HLT, .reflected = 1};

	if (kind == TRANSITION_vm_entry)
		memcpy(t.p, &entry, sizeof(entry));
	else
		memcpy(t.p, &halt, sizeof(halt));
	sched_transition(&s, &t);
}

/* Every processor has a guest with a tick each 10 ms and is backlogged otherwise. */
static u64 run(const struct sched_policy *policy, u64 *decisions)
{
	u64 now = 0, start = cpu_ns(), slice, n = 0;

	for (u32 round = 0; round < ROUNDS; round++) {
		u32 worker = round % WORKERS, i = round % VPS;
		now += 10 * NS_PER_US;
		if (policy->transition)
			interrupt_is_due(i, now);
		sched_wake(&s, &vp[i], now, NULL);
		if (s.running[worker]) {
			if (policy->transition && round % 8 == 0)
				guest(worker, now, TRANSITION_vm_exit);
			sched_put(&s, worker, now, 40 * NS_PER_US,
				  round % 8 ? SCHED_PUT_SLICE : SCHED_PUT_BLOCK);
		}
		if (sched_pick(&s, worker, now, &slice) && policy->transition)
			guest(worker, now, TRANSITION_vm_entry);
		n++;
	}
	*decisions = n;
	return cpu_ns() - start;
}

static void measure(const struct sched_policy *policy)
{
	const struct sched_config cfg = {
		.policy = policy, .workers = WORKERS, .slice_ns = 3 * NS_PER_MS};
	struct mallinfo2 before = mallinfo2();
	u64 decisions = 0;

	if (sched_init(&s, &cfg))
		exit(1);
	memset(vp, 0, sizeof(vp));
	for (u32 i = 0; i < VPS; i++) {
		vp[i].vcpu_id = i / PER_MACHINE << 16 | i % PER_MACHINE;
		if (sched_add(&s, &vp[i]))
			exit(1);
		sched_wake(&s, &vp[i], 0, NULL);
	}
	u64 bytes = mallinfo2().uordblks - before.uordblks;
	u64 ns = run(policy, &decisions);
	printf("sched_%s_decision_ns %.0f\n", policy->name, (double)ns / (double)decisions);
	printf("sched_%s_vp_bytes %lu\n", policy->name, sizeof(struct sched_vp) + bytes / VPS);
	for (u32 w = 0; w < WORKERS; w++)
		if (s.running[w])
			sched_put(&s, w, 0, 0, SCHED_PUT_GONE);
	for (u32 i = 0; i < VPS; i++)
		sched_remove(&s, &vp[i]);
	sched_fini(&s);
}

int main(void)
{
	for (u32 p = 0; sched_policies[p]; p++)
		measure(sched_policies[p]);
	return 0;
}
