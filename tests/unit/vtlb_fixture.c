#include "tests/unit/vtlb_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void flush_soft(void *owner)
{
	((struct vtlbfix_told *)owner)->flushes++;
}

static void flush_soft_page(void *owner, u64 gva)
{
	((struct vtlbfix_told *)owner)->page_flushes++;
}

static void request(void *owner)
{
	((struct vtlbfix_told *)owner)->requests++;
}

void vtlbfix_begin(struct vtlbfix *e, const struct vtlb_config *cfg, u32 upper, u32 leaf)
{
	const struct vtlb_context ctx = {
		.cr0 = 0x80010001, .cr3 = PML4, .cr4 = 0xb0, .efer = 0xd00};
	int err;

	memset(e, 0, sizeof(*e));
	e->n_vps = cfg->max_vps;
	e->mem = mem_create(VTLBFIX_RAM_BYTES, &err);
	e->ram = mem_ram_base(e->mem);
	e->t = vtlb_create(e->mem, cfg, &err);
	assert_non_null(e->t);
	*vtlbfix_word(e, PML4) = PDPT | upper;
	*vtlbfix_word(e, PDPT) = PD | upper;
	*vtlbfix_word(e, PD) = PT | upper;
	for (u64 i = 0; i < 512; i++)
		*vtlbfix_word(e, PT + 8 * i) = (DATA + i * 4096) | leaf;
	for (u32 i = 0; i < e->n_vps; i++) {
		struct vtlb_vp *v = &e->v[i];

		v->owner = &e->told[i];
		v->flush_soft = flush_soft;
		v->flush_soft_page = flush_soft_page;
		v->request = request;
		assert_int_equal(vtlb_vp_init(e->t, v, i), 0);
		vtlb_set_context(v, &ctx);
	}
}

void vtlbfix_end(struct vtlbfix *e)
{
	for (u32 i = 0; i < e->n_vps; i++)
		vtlb_vp_fini(&e->v[i]);
	vtlb_destroy(e->t);
	mem_destroy(e->mem);
}

struct vtlb_xl vtlbfix_get(struct vtlb_vp *v, u64 gva, u32 access, enum vtlb_status want)
{
	struct vtlb_xl xl = {0};
	struct vtlb_fault f;

	assert_int_equal(vtlb_translate(v, gva, access, &xl, &f), want);
	return xl;
}
