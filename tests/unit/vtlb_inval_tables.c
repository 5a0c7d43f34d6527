#include "tests/unit/vtlb_inval.h"

#include <stdlib.h>
#include <string.h>

struct inval inval;

const u64 inval_gvas[N_GVA] = {
	0x0,
	0x1000,
	0x2000,
	0x3000,
	0x4000,
	0x5000,
	0x200000,
	0x201000,
	0x202000,
	0x3ff000,
	0x400000,
	0x4fe000,
	0x40000000,
	0x40a00000,
	0x40a01000,
	0x40c00000,
	0x407ff000,
	/* the kernel's half, through tables that all processes share */
	KERNEL,
	KERNEL + 0x1000,
	KERNEL + 0x2000,
	KERNEL + 0x200000,
	KERNEL + 0x201000,
};

u64 inval_rnd(u64 n)
{
	return rng_below(&inval.seed, n);
}
bool inval_chance(u32 percent)
{
	return inval_rnd(100) < percent;
}
u64 *inval_word(u64 at)
{
	return (u64 *)(void *)(inval.ram + at);
}

/* A guest's store to one of its tables, noted as the engine would. */
static void put(u64 at, u64 v)
{
	*inval_word(at) = v;
	if (mem_frame_is_guarded(mem_frame(inval.mem, at)))
		mem_note_write(inval.mem, at, 8);
}

static u64 data_frame(void)
{
	return DATA + inval_rnd(DATA_PAGES) * 4096;
}
static u64 leaf_bits(void)
{
	return (inval_chance(90) ? P : 0) | (inval_chance(80) ? W : 0) |
	       (inval_chance(70) ? U : 0) | (inval_chance(40) ? G : 0) |
	       (inval_chance(50) ? A : 0) | (inval_chance(50) ? D : 0);
}

void inval_edit_guest(void)
{
	u64 t = AS_TABLES(inval_rnd(N_AS)), k = KERNEL_TABLES(inval_rnd(2)), at;

	if (inval_chance(20)) {
		switch (inval_rnd(6)) {
		default: put(k + 0x2000 + 8 * inval_rnd(3), data_frame() | leaf_bits()); return;
		case 0: /* the link itself: other tables, other rights */
			put(t + 0x800,
			    KERNEL_TABLES(inval_chance(80) ? 0 : 1) | (inval_chance(90) ? P : 0) |
				    (inval_chance(85) ? W : 0) | (inval_chance(15) ? U : 0) | A);
			return;
		case 1: /* large or not */
			put(k + 0x1008, inval_chance(50) ? DATA | PS | leaf_bits() : DATA);
			return;
		case 2: put(k, (k + 0x1000) | (inval_chance(90) ? P : 0) | W | U | A); return;
		}
	}
	switch (inval_rnd(10)) {
	default: /* one page */
		put(t + 0x3000 + 8 * inval_rnd(6), data_frame() | leaf_bits());
		return;
	case 0:
		put(t + 0x4000 + 8 * (inval_chance(20) ? 511 : inval_rnd(3)),
		    data_frame() | leaf_bits());
		return;
	case 1: /* second 2 MiB: large or a table */
		put(t + 0x2008,
		    inval_chance(50) ? DATA | PS | leaf_bits() : (t + 0x4000) | P | W | U);
		return;
	case 2:
		put(t + 0x2010, (DATA + (inval_chance(50) ? 0x200000 : 0)) | PS | leaf_bits());
		return;
	case 3: /* second 1 GiB: large or a directory of large pages */
		put(t + 0x1008, inval_chance(50) ? PS | leaf_bits() : (t + 0x5000) | P | W | U);
		return;
	case 4:
		put(t + 0x5000 + 8 * (5 + inval_rnd(2)),
		    (DATA + inval_rnd(3) * 0x200000) | PS | leaf_bits());
		return;
	case 5: /* an upper level */
		put(t + 0x1000,
		    (t + 0x2000) | (inval_chance(80) ? P : 0) | (inval_chance(80) ? W : 0) | U);
		return;
	case 6: /* the guest ages its pages */
		at = t + 0x3000 + 8 * inval_rnd(6);
		put(at, *inval_word(at) & ~(A | D));
		return;
	}
}

static void put_ept(u64 at, u64 v)
{
	if (inval.n_ept == inval.cap_ept) {
		inval.cap_ept = inval.cap_ept ? inval.cap_ept * 2 : 1024;
		inval.ept_log = realloc(inval.ept_log, inval.cap_ept * sizeof(*inval.ept_log));
	}
	inval.ept_log[inval.n_ept++] = (struct ept_edit){inval.now, at, *inval_word(at)};
	put(at, v);
}

void inval_edit_ept(void)
{
	u64 t = EPT_TABLES(inval_rnd(2));

	switch (inval_rnd(4)) {
	default:
		put_ept(t + 0x3000 + 8 * inval_rnd(DATA_PAGES),
			data_frame() | 6 << 3 |
				(inval_chance(90) ? 1 : 0) * (5 | (inval_chance(80) ? W : 0)));
		return;
	case 0: /* the data's 2 MiB: large or a table */
		put_ept(t + 0x2000 + 8 * 4,
			inval_chance(50) ? DATA | 6 << 3 | PS | 7 : (t + 0x3000) | 7);
		return;
	case 1:
		put_ept(t + 0x2000 + 8 * 5, (DATA + (1 + inval_rnd(3)) * 0x200000) | 6 << 3 | PS |
						    5 | (inval_chance(70) ? W : 0));
		return;
	}
}

void inval_make_tables(void)
{
	for (u32 as = 0; as < N_AS; as++) {
		u64 t = AS_TABLES(as);

		*inval_word(t) = (t + 0x1000) | P | W | U;
		*inval_word(t + 0x800) = KERNEL_TABLES(0) | P | W;
		*inval_word(t + 0x1000) = (t + 0x2000) | P | W | U;
		*inval_word(t + 0x1008) = (t + 0x5000) | P | W | U;
		*inval_word(t + 0x2000) = (t + 0x3000) | P | W | U;
		*inval_word(t + 0x2008) = (t + 0x4000) | P | W | U;
		for (u32 i = 0; i < 512; i++) {
			*inval_word(t + 0x3000 + 8 * i) = data_frame() | leaf_bits();
			*inval_word(t + 0x4000 + 8 * i) = data_frame() | leaf_bits();
			if (i < 8)
				*inval_word(t + 0x5000 + 8 * i) =
					(0x200000ull * i) | PS | leaf_bits();
		}
	}
	for (u32 i = 0; i < 8; i++)
		*inval_word(VARIANT_ROOT(i) + 0x800) = KERNEL_TABLES(i / 4) | P | (i & 3) << 1;
	for (u32 i = 0; i < 2; i++) {
		u64 k = KERNEL_TABLES(i);

		*inval_word(k) = (k + 0x1000) | P | W | U;
		*inval_word(k + 0x1000) = (k + 0x2000) | P | W | U;
		*inval_word(k + 0x1008) = DATA | PS | P | W | G;
		for (u32 j = 0; j < 8; j++)
			*inval_word(k + 0x2000 + 8 * j) = data_frame() | P | W | G;
	}
	for (u32 e = 0; e < 2; e++) {
		u64 t = EPT_TABLES(e);

		*inval_word(t) = (t + 0x1000) | 7;
		*inval_word(t + 0x1000) = (t + 0x2000) | 7;
		for (u64 i = 0; i < 8; i++)
			*inval_word(t + 0x2000 + 8 * i) = 0x200000 * i | 6 << 3 | PS | 7;
		for (u64 i = 0; i < 512; i++)
			*inval_word(t + 0x3000 + 8 * i) = (DATA + i * 4096) | 6 << 3 | 7;
	}
}

void inval_make_contexts(void)
{
	static const struct {
		u8 as, pcid, vpid, ept; /* ept 0: none */
	} c[N_CTX] = {{0, 0, 0, 0}, {1, 0, 0, 0}, {0, 2, 0, 0}, {0, 0, 1, 1}, {1, 0, 1, 1},
		      {0, 1, 2, 1}, {0, 0, 1, 2}, {1, 0, 0, 2}, {1, 1, 0, 0}};

	for (u32 i = 0; i < N_CTX; i++) {
		inval.ctx[i] = (struct vtlb_context){
			.cr0 = 1 | 1ull << 31 | 1 << 16,
			.cr3 = AS_TABLES(c[i].as) | c[i].pcid,
			.cr4 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 17,
			.efer = 1 << 8 | 1 << 10 | 1 << 11,
			.vpid = c[i].vpid,
			.eptp = c[i].ept ? EPT_TABLES(c[i].ept - 1) | 3 << 3 | 6 |
						   (c[i].ept == 1 ? 0x40 : 0)
					 : 0,
		};
	}
}
