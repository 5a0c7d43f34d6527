#include "l0/engine/vec_stub.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l0/base/code_mem.h"
#include "l0/base/mem_ops.h"

#define SLOT_BYTES 32u
#define ARENA_BYTES (1024u * 1024)
#define SLOTS (ARENA_BYTES / SLOT_BYTES)
#define BUCKETS 4096u

/*
 * All arenas live in one reserved range of host addresses, so that the signal handler can tell a
 * stub by two compares. The range bounds the number of arenas; an arena that finds no place in it
 * fails to be created.
 */
#define RANGE_BYTES (1024ull * ARENA_BYTES)
static _Atomic u64 range_base;

struct slot {
	u8 code[16]; /* the instruction and RET */
	u8 len;
	u8 pad[11];
	u32 next; /* index + 1 in the same bucket, 0 ends */
};
_Static_assert(sizeof(struct slot) == SLOT_BYTES, "a slot of the stub arena");

struct vec_stubs {
	struct slot *write; /* writable mapping */
	u8 *exec;	    /* executable mapping of the same pages */
	u32 used;
	bool reused; /* slots hold older code: a new stub needs a serialising instruction */
	u32 bucket[BUCKETS];
};

static u8 *range_get(void)
{
	u64 base = range_base;

	if (base)
		return (u8 *)base;
	void *p = mmap(NULL, RANGE_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	if (__atomic_compare_exchange_n(&range_base, &base, (u64)p, false, __ATOMIC_SEQ_CST,
					__ATOMIC_SEQ_CST))
		return p;
	munmap(p, RANGE_BYTES);
	return (u8 *)base;
}

/* A place in the range: claimed by a byte map, freed at destroy. */
static _Atomic u8 place_taken[RANGE_BYTES / ARENA_BYTES];

static u8 *place_claim(u8 *base)
{
	for (u32 i = 0; i < ARRAY_SIZE(place_taken); i++)
		if (!__atomic_exchange_n(&place_taken[i], 1, __ATOMIC_SEQ_CST))
			return base + (u64)i * ARENA_BYTES;
	return NULL;
}

struct vec_stubs *vec_stubs_create(int *err)
{
	struct vec_stubs *a = calloc(1, sizeof(*a));
	u8 *range = range_get();
	int fd = code_mem_create(ARENA_BYTES);

	*err = fd < 0 ? fd : -ENOMEM;
	if (!a || !range || fd < 0)
		goto fail;
	u8 *place = place_claim(range);
	if (!place)
		goto fail;
	a->write = mmap(NULL, ARENA_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	a->exec = mmap(place, ARENA_BYTES, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, fd, 0);
	if (a->write == MAP_FAILED || a->exec == MAP_FAILED) {
		*err = -errno;
		if (a->write != MAP_FAILED)
			munmap(a->write, ARENA_BYTES);
		place_taken[(u64)(place - range) / ARENA_BYTES] = 0;
		goto fail;
	}
	close(fd);
	*err = 0;
	return a;
fail:
	if (fd >= 0)
		close(fd);
	free(a);
	return NULL;
}

void vec_stubs_destroy(struct vec_stubs *a)
{
	if (!a)
		return;
	u8 *range = (u8 *)range_base;
	munmap(a->write, ARENA_BYTES);
	(void)!mmap(a->exec, ARENA_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	place_taken[(u64)(a->exec - range) / ARENA_BYTES] = 0;
	free(a);
}

static u32 hash_code(const u8 *code, u32 len)
{
	u32 h = 2166136261u;

	for (u32 i = 0; i < len; i++)
		h = (h ^ code[i]) * 16777619u;
	return (h ^ h >> 15) % BUCKETS;
}

/* Code written through another linear address: SDM 3A "Handling Self- and Cross-Modifying Code". */
static void serialize(void)
{
	u32 eax = 0, ebx, ecx = 0, edx;

	__asm__ volatile("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx) : : "memory");
}

const void *vec_stub_get(struct vec_stubs *a, const u8 *code, u32 len)
{
	if (len > VEC_STUB_MAX)
		return NULL;
	u32 h = hash_code(code, len);
	for (u32 i = a->bucket[h]; i; i = a->write[i - 1].next) {
		const struct slot *s = &a->write[i - 1];
		if (s->len == len && nm_cmp(s->code, code, len) == 0)
			return a->exec + (u64)(i - 1) * SLOT_BYTES;
	}
	if (a->used == SLOTS)
		return NULL;
	struct slot *s = &a->write[a->used];
	nm_copy(s->code, code, len);
	s->code[len] = 0xc3; /* RET */
	s->len = (u8)len;
	s->next = a->bucket[h];
	if (a->reused)
		serialize();
	const void *entry = a->exec + (u64)a->used * SLOT_BYTES;
	a->bucket[h] = ++a->used;
	return entry;
}

u32 vec_stub_len(const void *entry)
{
	return ((const struct slot *)entry)->len;
}

void vec_stubs_reset(struct vec_stubs *a)
{
	a->reused = true;
	a->used = 0;
	nm_set(a->bucket, 0, sizeof(a->bucket));
}

bool vec_stub_contains(u64 host_rip)
{
	u64 base = range_base;

	return base && host_rip - base < RANGE_BYTES;
}
