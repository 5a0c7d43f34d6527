/* The batch guest: computes for ever; now and then a CPUID or a hypercall, as real programs exit.
 */
#include "l0/arch/ports.h"
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"

#define LOOPS_PER_UNIT 2000
#define UNITS_PER_CPUID 16
#define UNITS_PER_CALL 64
#define UNITS_PER_REPORT 1024

void guest_main(struct guest_shared *s)
{
	u32 r[4];

	cpu_sti();
	for (u32 unit = 1;; unit++) {
		kit_work(LOOPS_PER_UNIT);
		s->work++;
		if (unit % UNITS_PER_CPUID == 0)
			cpu_id(0, 0, r);
		if (unit % UNITS_PER_CALL == 0)
			kit_call(HC_NOP, 0, 0, 0);
		if (unit % UNITS_PER_REPORT == 0)
			kit_report(DEADLINE_KIND_WORK, unit);
	}
}
