/*
 * The cache-hungry guest: goes round over `pages=` pages of data and as many of code, each by a
 * call. What it uses fits into a processor's TLB and code cache, but not beside that of another
 * such guest, so that each switch costs it all of that anew. One unit of work is one round.
 */
#include "l0/arch/ports.h"
#include "l1-child/guests/kit.h"
#include "l1-child/lib/cpu.h"

/* Pages of code, then pages of data, at numbers that differ from those of stack, image and shared
 * page in the low bits, as long as there are not more. */
#define SETS 0x210000ul
#define LEAST_APART 112ul
#define PAGE 4096ul
#define STEP 64ul /* from page to page they lie a line further, as programs' data does */
#define ROUNDS_PER_REPORT 64

typedef u64 (*step_fn)(u64 sum);

static u64 place(u64 base, u64 page)
{
	return base + page * PAGE + page * STEP % PAGE;
}

/* lea rax, [rdi + rdi * 2 + 1]; ret */
static void write_step(u64 at)
{
	static const u8 code[] = {0x48, 0x8d, 0x44, 0x7f, 0x01, 0xc3};

	for (u32 i = 0; i < sizeof(code); i++)
		((volatile u8 *)at)[i] = code[i];
}

void guest_main(struct guest_shared *s)
{
	u64 pages = s->pages, data = SETS + (pages > LEAST_APART ? pages : LEAST_APART) * PAGE,
	    sum = 1;

	for (u64 p = 0; p < pages; p++)
		write_step(place(SETS, p));
	cpu_sti();
	for (u32 round = 1;; round++) {
		for (u64 p = 0; p < pages; p++) {
			volatile u64 *at = (volatile u64 *)place(data, p);
			sum = ((step_fn)place(SETS, p))(sum + *at);
			*at = sum;
		}
		s->work++;
		if (round % ROUNDS_PER_REPORT == 0)
			kit_report(DEADLINE_KIND_WORK, round);
	}
}
