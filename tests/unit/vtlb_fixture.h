/*
 * vtlb_fixture.h - a virtual TLB over a machine's memory with one page table: 2 MiB from address 0
 * lead to DATA, page by page. Counts what its VPs are told.
 */
#ifndef TESTS_UNIT_VTLB_FIXTURE_H
#define TESTS_UNIT_VTLB_FIXTURE_H

#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define VTLBFIX_RAM_BYTES (64 * MIB)
#define VTLBFIX_MAX_VPS 3u
#define PML4 0x100000ull
#define PDPT 0x101000ull
#define PD 0x102000ull
#define PT 0x103000ull
#define DATA 0x1000000ull

/* What a VP was told; the owner of its vtlb_vp. */
struct vtlbfix_told {
	u32 flushes, page_flushes, requests;
};

struct vtlbfix {
	struct mem *mem;
	struct vtlb *t;
	u32 n_vps;
	struct vtlb_vp v[VTLBFIX_MAX_VPS];
	struct vtlbfix_told told[VTLBFIX_MAX_VPS];
	u8 *ram;
};

/* @upper, @leaf: the low bits of the tables' entries. The VPs (cfg->max_vps) use them. */
void vtlbfix_begin(struct vtlbfix *e, const struct vtlb_config *cfg, u32 upper, u32 leaf);
void vtlbfix_end(struct vtlbfix *e);

static inline u64 *vtlbfix_word(struct vtlbfix *e, u64 at)
{
	return (u64 *)(void *)(e->ram + at);
}

/* Translate; it ends in @want. */
struct vtlb_xl vtlbfix_get(struct vtlb_vp *v, u64 gva, u32 access, enum vtlb_status want);

#endif
