/*
 * Counts its own instructions by perf_event_open(), as perf stat does, and samples them: the
 * guest's kernel works with the virtual processor's performance counters. Prints "perf: INSNS
 * CYCLES SAMPLES BRANCHES MISSES".
 */
#include <fcntl.h>
#include <linux/perf_event.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LOOPS 1000000ul
#define PERIOD 100000

static volatile int samples;

static void on_sample(int sig)
{
	(void)sig;
	samples++;
}

static int counter(uint64_t config, uint64_t period)
{
	struct perf_event_attr a;

	memset(&a, 0, sizeof(a));
	a.type = PERF_TYPE_HARDWARE;
	a.size = sizeof(a);
	a.config = config;
	a.sample_period = period;
	a.wakeup_events = period ? 1 : 0;
	a.disabled = 1;
	a.exclude_kernel = 1;
	return (int)syscall(SYS_perf_event_open, &a, 0, -1, -1, 0);
}

static uint64_t value(int fd)
{
	uint64_t v = 0;

	return read(fd, &v, sizeof(v)) == sizeof(v) ? v : 0;
}

int main(void)
{
	int insns = counter(PERF_COUNT_HW_INSTRUCTIONS, 0),
	    cycles = counter(PERF_COUNT_HW_CPU_CYCLES, 0);
	int branches = counter(PERF_COUNT_HW_BRANCH_INSTRUCTIONS, 0),
	    misses = counter(PERF_COUNT_HW_BRANCH_MISSES, 0);
	int sampled = counter(PERF_COUNT_HW_INSTRUCTIONS, PERIOD);

	if (insns < 0 || cycles < 0 || sampled < 0 || branches < 0 || misses < 0) {
		perror("perf: perf_event_open");
		return 1;
	}
	signal(SIGIO, on_sample);
	fcntl(sampled, F_SETFL, O_RDWR | O_NONBLOCK | O_ASYNC);
	fcntl(sampled, F_SETOWN, getpid());
	ioctl(insns, PERF_EVENT_IOC_ENABLE, 0);
	ioctl(cycles, PERF_EVENT_IOC_ENABLE, 0);
	ioctl(sampled, PERF_EVENT_IOC_ENABLE, 0);
	ioctl(branches, PERF_EVENT_IOC_ENABLE, 0);
	ioctl(misses, PERF_EVENT_IOC_ENABLE, 0);
	__asm__ volatile("mov %0, %%rcx\n1: dec %%rcx\n jnz 1b" : : "r"(LOOPS) : "rcx", "cc");
	ioctl(misses, PERF_EVENT_IOC_DISABLE, 0);
	ioctl(branches, PERF_EVENT_IOC_DISABLE, 0);
	ioctl(sampled, PERF_EVENT_IOC_DISABLE, 0);
	ioctl(cycles, PERF_EVENT_IOC_DISABLE, 0);
	ioctl(insns, PERF_EVENT_IOC_DISABLE, 0);
	printf("perf: %lu %lu %d %lu %lu\n", (unsigned long)value(insns),
	       (unsigned long)value(cycles), samples, (unsigned long)value(branches),
	       (unsigned long)value(misses));
	return 0;
}
