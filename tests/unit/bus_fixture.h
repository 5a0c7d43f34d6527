/* bus_fixture.h - a machine without processors for the tests of devices: time is set by hand and
 * what devices report upwards is recorded. */
#ifndef TESTS_UNIT_BUS_FIXTURE_H
#define TESTS_UNIT_BUS_FIXTURE_H

#include "l0/dev/bus.h"

struct bus_fixture {
	struct machine_bus bus;
	struct clock clock;
	u64 now_ns;
	u32 current_vp;
	u32 deadline_changes;
	bool intr[BUS_MAX_VPS];
	u32 nmis[BUS_MAX_VPS], inits[BUS_MAX_VPS], sipis[BUS_MAX_VPS];
	u8 sipi_vector;
	u32 resets;
	enum bus_reset_kind reset_kind;
	u32 exits, exit_value;
	u32 deadlines, deadline_value;
	bool a20;
};

void fixture_init(struct bus_fixture *f, u32 nvps);
void fixture_fini(struct bus_fixture *f);

/* Move time to @ns, firing timers in order at their own deadlines. */
void fixture_run_to(struct bus_fixture *f, u64 ns);

u8 fixture_inb(struct bus_fixture *f, u16 port);
void fixture_outb(struct bus_fixture *f, u16 port, u8 value);
u32 fixture_read32(struct bus_fixture *f, u64 gpa);
void fixture_write32(struct bus_fixture *f, u64 gpa, u32 value);

/* Seed of this run's random numbers: NESTOR_SEED, else @dflt; printed. */
u64 fixture_seed(u64 dflt);

#endif
