/* The spinning guest: takes all CPU time it can get and does nothing with it. */
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"

void guest_main(struct guest_shared *s)
{
	cpu_sti();
	for (;;) {
		cpu_pause();
		s->work++;
	}
}
