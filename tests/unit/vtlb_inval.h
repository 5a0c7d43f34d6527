/*
 * vtlb_inval.h - what vtlb_inval_test.c changes and looks at: guest tables and ept12 under random
 * edits (vtlb_inval_tables.c), and the record of what was ever valid (vtlb_inval_legal.c).
 */
#ifndef TESTS_UNIT_VTLB_INVAL_H
#define TESTS_UNIT_VTLB_INVAL_H

#include "l0/base/hash.h"
#include "l0/mem/mem.h"
#include "vtlb/vtlb.h"

#define RAM_BYTES (16 * MIB)
#define DATA 0x800000ull
#define DATA_PAGES 32u
#define N_AS 2u
#define AS_TABLES(as) \
	(0x100000ull + (as)*0x10000) /* PML4, PDPT, PD, PT, PT of PD[1], PD of 1 GiB */
#define KERNEL 0xffff800000000000ull
#define KERNEL_TABLES(k) (0x140000ull + (k)*0x10000) /* PDPT, PD, PT; two sets */
#define EPT_TABLES(e) (0x200000ull + (e)*0x10000)    /* PML4, PDPT, PD, PT of the data */
#define N_CTX 9u
#define N_GVA 22u
#define MAX_VPS 8u
#define AUDIT_EVERY 64u /* steps */
#define MAX_HISTORY 96u
#define N_KERNEL 5u    /* of the addresses, the last */
#define N_VARIANTS 24u /* kernel tables, rights of the root, ept12 */
#define VARIANT_ROOT(i) (0x180000ull + (i)*0x1000)

#define P 1ull
#define W 2ull
#define U 4ull
#define A 0x20ull
#define D 0x40ull
#define PS 0x80ull
#define G 0x100ull

/* One translation while it was valid: [start, end). */
struct entry {
	u64 start, end, gpa, page; /* page: size of the guest's page */
	u32 prot_super, prot_user;
	bool global;
};

struct history {
	struct entry e[MAX_HISTORY]; /* a ring, last at n - 1 */
	u32 n;
};

enum what {
	INVLPG,
	CR3,
	FLUSH,
	FLUSH_G,
	INVPCID0,
	INVPCID1,
	INVPCID2,
	INVPCID3,
	INVVPID0,
	INVVPID1,
	INVVPID2,
	INVVPID3,
	INVEPT1,
	INVEPT2,
	FLUSH_VPID
};

struct event {
	u64 time;
	enum what what;
	u16 vpid, pcid;
	u64 eptp, gva;
};

struct ept_edit {
	u64 time, at, old;
};

struct soft {
	bool valid;
	u64 gpa;
	u32 prot, page_shift;
};

struct tvp {
	struct vtlb_vp v;
	u32 ctx;
	bool requested, is_offline;
	struct soft soft[N_GVA][2];
	/* contents put aside, by the name they were given */
	struct {
		u64 mark;
		struct soft soft[N_GVA][2];
	} aside[4];
	u64 mark;
	struct event *log;
	u32 n_log, cap_log;
};

extern struct inval {
	u64 seed, now;
	struct mem *mem;
	u8 *ram;
	struct vtlb *t;
	struct tvp vp[MAX_VPS];
	u32 n_vps;
	struct vtlb_context ctx[N_CTX];
	struct history hist[N_CTX][N_GVA];
	/* the kernel's half from the PDPT down, for every entry of the root that led there */
	struct history lower[N_VARIANTS][N_KERNEL];
	struct root_edit {
		u64 start, end, entry;
	} * root_log[N_AS];
	u32 n_root[N_AS];
	u8 tables[26][4096]; /* as they were when they were recorded */
	u64 used_stale, used, returns;
	struct ept_edit *ept_log;
	u32 n_ept, cap_ept;
	u32 by_turns; /* the sum of two contexts that take turns, or 0: any */
	bool no_share, no_refresh;
	bool is_prompt; /* each VP passes a request before anything else */
	bool processes; /* address spaces of one machine, switched by MOV CR3 with flush */
} inval;

extern const u64 inval_gvas[N_GVA];

/* Random: below @n; true in so many cases of a hundred. */
u64 inval_rnd(u64 n);
bool inval_chance(u32 percent);

/* A word of memory; one random edit of the tables; all of them as they are at first. */
u64 *inval_word(u64 at);
void inval_edit_guest(void);
void inval_edit_ept(void);
void inval_make_tables(void);
void inval_make_contexts(void);

/* Note what is valid from now on. */
void inval_record(void);

/* May @p use this translation now? *@stale: it is no longer what the tables say. */
bool inval_is_legal(struct tvp *p, u32 g, bool user, u64 gpa, u32 prot, bool *stale);

#endif
