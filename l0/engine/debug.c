/*
 * Debug registers: which accesses and instructions hit an enabled breakpoint. Detection only; the
 * exception itself is event.c's. Source: SDM 3B "Debug Registers", "Debug Exceptions".
 */
#include "l0/engine/event_priv.h"

enum { RW_EXEC, RW_WRITE, RW_IO, RW_ACCESS };

static bool enabled(const struct vp *vp, u32 n)
{
	return vp->cpu.dr[7] >> (2 * n) & 3;
}
static u32 condition(const struct vp *vp, u32 n)
{
	return vp->cpu.dr[7] >> (16 + 4 * n) & 3;
}
static u32 length(const struct vp *vp, u32 n)
{
	static const u8 len[] = {1, 2, 8, 4};

	return len[vp->cpu.dr[7] >> (18 + 4 * n) & 3];
}

bool debug_is_armed(const struct vp *vp)
{
	return vp->host_watch || (vp->cpu.dr[7] & DR7_ENABLED);
}

u64 debug_code_match(const struct vp *vp)
{
	u64 at = vp->cpu.rip, bits = 0;
	bool hit = false;

	if (!is_code64(vp))
		at = (u32)(at + vp->cpu.seg[SEG_CS].base);
	for (u32 n = 0; n < 4; n++) {
		if (condition(vp, n) != RW_EXEC || vp->cpu.dr[n] != at)
			continue;
		bits |= BIT(n);
		hit |= enabled(vp, n);
	}
	return hit ? bits : 0;
}

static bool wants(u32 cond, enum debug_access kind)
{
	switch (kind) {
	case DEBUG_READ: return cond == RW_ACCESS;
	case DEBUG_WRITE: return cond == RW_ACCESS || cond == RW_WRITE;
	case DEBUG_IO: return cond == RW_IO;
	}
	return false;
}

void debug_data_access(struct vp *vp, u64 gva, u32 size, enum debug_access kind)
{
	u64 bits = 0;
	bool hit = false;

	if (unlikely(vp->host_watch) && kind != DEBUG_IO)
		vp->ops->watch(vp, gva, size, kind == DEBUG_WRITE);
	for (u32 n = 0; n < 4; n++) {
		u32 cond = condition(vp, n), len = length(vp, n);
		u64 at = vp->cpu.dr[n] & ~(u64)(len - 1);

		if (!wants(cond, kind) || (cond == RW_IO && !(vp->cpu.cr4 & CR4_DE)))
			continue;
		if (gva >= at + len || at >= gva + size)
			continue;
		bits |= BIT(n);
		hit |= enabled(vp, n);
	}
	if (!hit)
		return;
	vp->cpu.pending_dbg |= bits | PENDING_DBG_ENABLED_BP;
	vp_request(vp, VP_ATTN_STEP);
}
