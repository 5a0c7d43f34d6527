/* nestor sched-compare: figures of one machine under one policy, for the table and for JSON. */
#include <string.h>

#include "l0/arch/events.h"
#include "l0/cmd/sched_compare.h"

/*
 * Max-min fair by weight: who wants less than its share, by what it takes when alone, leaves the
 * rest to the others. Without such knowledge the share by weight.
 */
static double fair_share(const struct run_report *r, const struct compare_alone *alone, u32 i)
{
	double room = 100, weights = 0, fair = 0;
	bool is_done[RUN_REPORT_MACHINES] = {false}, moved = true;

	for (u32 k = 0; k < r->nmachines; k++)
		weights += r->machine[k].weight;
	while (moved) {
		moved = false;
		for (u32 k = 0; k < r->nmachines; k++) {
			double share = room * r->machine[k].weight / weights;
			if (is_done[k] || !alone->known || alone->row[k].cpu > share * 0.999)
				continue;
			is_done[k] = moved = true;
			if (k == i)
				return alone->row[k].cpu;
			room -= alone->row[k].cpu;
			weights -= r->machine[k].weight;
		}
	}
	fair = room * r->machine[i].weight / weights;
	return fair > 100.0 / r->workers ? 100.0 / r->workers : fair;
}

struct compare_row compare_row_of(const struct run_report *r, const struct compare_alone *alone,
				  u32 i)
{
	const struct run_report_machine *m = &r->machine[i];
	struct compare_row row = {0};

	for (u32 g = 0; g < RUN_REPORT_GUESTS; g++) {
		row.jobs += m->guest[g].jobs;
		row.misses += m->guest[g].misses;
		row.early += m->guest[g].early_misses;
		row.late_us = MAX(row.late_us, m->guest[g].late_us);
		row.work += m->guest[g].work;
		row.refusals += m->guest[g].refusals;
	}
	row.cpu = 100.0 * (double)m->ran_ns / ((double)r->ran_for_ns * r->workers);
	row.switches = m->switches;
	row.switches_each_s = (double)m->switches * 1e9 / (double)r->ran_for_ns;
	row.gap_ns = m->longest_wait_ns;
	row.fair = fair_share(r, alone, i);
	return row;
}

const char *compare_enum_text(const char *name, u32 value)
{
	for (u32 i = 0; i < event_enum_count; i++)
		if (!strcmp(event_enums[i]->name, name) && event_enum_text(event_enums[i], value))
			return event_enum_text(event_enums[i], value);
	return "";
}
