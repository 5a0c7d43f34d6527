/*
 * What --detect-stale prints: a missing invalidation in three lines, with the names that --symbols
 * gives. The thread that found out calls it, with no guest's state in the vector registers.
 */
#include <stdio.h>

#include "l0/machine.h"
#include "vtlb/stale.h"

#define NS_IN_MS 1000000ull
#define REPORTS_MAX 64u

static const char *access_name(u32 access)
{
	return access & VTLB_WRITE ? "write" : access & VTLB_EXEC ? "fetch" : "read";
}

/* "rip 0x1234 in name+0x5". Names are known of a machine's own code. */
static void print_place(struct machine *m, bool is_own, u64 rip, u64 ns)
{
	char buf[SYMBOLS_NAME_BYTES];
	const char *name = is_own ? machine_symbol(m, rip, buf) : NULL;

	fprintf(stderr, "rip %#llx%s%s at %llu.%06llu ms", (unsigned long long)rip,
		name ? " in " : "", name ? name : "", (unsigned long long)(ns / NS_IN_MS),
		(unsigned long long)(ns % NS_IN_MS));
}

static void print_use(struct machine *m, const struct vtlb_stale_report *r)
{
	fprintf(stderr, "nestor: %s: stale translation used: processor %u, %s of page %#llx, ",
		m->desc->name, r->vp, access_name(r->access), (unsigned long long)r->gva);
	print_place(m, !r->eptp && !r->vpid, r->rip, r->ns);
	fprintf(stderr, ": went to frame %#llx, the tables ", (unsigned long long)r->held_gpa);
	if (r->fresh_gpa == VTLB_NO_GPA)
		fprintf(stderr, "do not allow it");
	else
		fprintf(stderr, "lead to %#llx", (unsigned long long)r->fresh_gpa);
	fprintf(stderr, " (cr3 %#llx", (unsigned long long)r->cr3);
	if (r->eptp)
		fprintf(stderr, ", eptp %#llx", (unsigned long long)r->eptp);
	if (r->vpid)
		fprintf(stderr, ", vpid %u", r->vpid);
	fprintf(stderr, ")\n");
}

static void print_writer(struct machine *m, const struct vtlb_stale_report *r)
{
	const struct vtlb_entry_write *by = &r->by;

	fprintf(stderr, "nestor: %s:   changed: ", m->desc->name);
	if (!by->gpa) {
		fprintf(stderr, "while the tables were not watched\n");
		return;
	}
	fprintf(stderr, "%s entry %#llx of level %u, %#llx to %#llx, by ",
		by->is_ept ? "ept12" : "page table", (unsigned long long)by->gpa, by->level,
		(unsigned long long)by->before, (unsigned long long)by->after);
	if (by->vp == VTLB_NO_VP) {
		fprintf(stderr, "a device\n");
		return;
	}
	fprintf(stderr, "processor %u, ", by->vp);
	print_place(m, by->is_own, by->rip, by->ns);
	fprintf(stderr, "\n");
}

static void print_missing(struct machine *m, const struct vtlb_stale_report *r, bool is_last)
{
	fprintf(stderr, "nestor: %s:   missing: ", m->desc->name);
	if (r->is_remote)
		fprintf(stderr, "remote shootdown: ");
	fprintf(stderr, "%s on processor %u", vtlb_missing_text(r->missing), r->vp);
	if (r->done_on != VTLB_NO_VP)
		fprintf(stderr, " (processor %u has executed one)", r->done_on);
	if (r->proof == STALE_PROOF_TIME) {
		fprintf(stderr, ", for 10 ms since the use");
	} else {
		fprintf(stderr, ", when the old frame was %s by processor %u, ",
			r->proof == STALE_PROOF_MAPPED ? "used through a new entry"
						       : "written in another address space",
			r->proof_vp);
		print_place(m, r->proof_is_own, r->proof_rip, r->proof_ns);
	}
	fprintf(stderr, "%s\n", is_last ? " (last report of this kind)" : "");
}

void machine_report_stale(struct machine *m, const struct vtlb_stale_report *r)
{
	u32 n = __atomic_fetch_add(&m->stale_reports, 1, __ATOMIC_RELAXED);

	if (n >= REPORTS_MAX)
		return;
	flockfile(stderr);
	print_use(m, r);
	print_writer(m, r);
	print_missing(m, r, n == REPORTS_MAX - 1);
	funlockfile(stderr);
}
