/*
 * Audit: every hit is compared with a fresh walk. A difference is legal as long as the guest
 * changed its tables and has not invalidated; a guest, or a test, that always does must show none.
 */
#include "vtlb/priv.h"

void audit_hit(struct vtlb_vp *v, u64 gva, u32 access, const struct vtlb_xl *xl)
{
	struct vtlb *t = v->priv->t;
	struct vtlb_xl fresh;
	struct vtlb_fault fault;
	enum vtlb_status st = vtlb_peek(v, gva, access, &fresh, &fault);
	/* The guest may clear D, or the frame be guarded, without an invalidation. */
	u32 more = xl->prot & ~fresh.prot & ~VTLB_WRITE;

	__atomic_fetch_add(&t->stats.audit_checks, 1, __ATOMIC_RELAXED);
	if (st > VTLB_MMIO || fresh.gpa != xl->gpa || fresh.hva != xl->hva || more)
		__atomic_fetch_add(&t->stats.audit_stale, 1, __ATOMIC_RELAXED);
}
