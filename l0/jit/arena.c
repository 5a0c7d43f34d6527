#include "l0/jit/arena.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "l0/base/code_mem.h"
#include "l0/base/mem_ops.h"

#define REGION_BYTES_MIN (64u * 1024) /* with less there are fewer regions */
#define ROOM_MIN (16u * 1024)	      /* a translation that needs more waits for the next region */

static u64 records_bytes(const struct jit_arena *a)
{
	return ALIGN_UP((u64)a->n_regions * a->part, (u64)PAGE_SIZE);
}

static u8 *map_private(u64 bytes)
{
	return mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

void arena_destroy(struct jit_arena *a)
{
	if (a->write != MAP_FAILED)
		munmap(a->write, a->bytes);
	if (a->info != MAP_FAILED)
		munmap(a->info, records_bytes(a));
	if (a->fd >= 0)
		close(a->fd);
	free(a->traps);
	free(a);
}

struct jit_arena *arena_create(u64 bytes, int *err)
{
	struct jit_arena *a = calloc(1, sizeof(*a));

	*err = -ENOMEM;
	if (!a)
		return NULL;
	a->bytes = ALIGN_UP(MAX(bytes, (u64)JIT_STUBS + 2 * REGION_BYTES_MIN), (u64)PAGE_SIZE);
	a->n_regions = (u32)MIN(a->bytes / REGION_BYTES_MIN, (u64)ARENA_REGIONS);
	a->part = (u32)((a->bytes - JIT_STUBS) / a->n_regions) & ~63u;
	a->write = a->info = MAP_FAILED;
	a->traps = calloc(ARENA_TRAPS, sizeof(*a->traps));
	a->fd = code_mem_create(a->bytes);
	if (a->fd < 0) {
		*err = a->fd;
	} else if (a->traps) {
		a->write = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, a->fd, 0);
		a->info = map_private(records_bytes(a));
		*err = a->write == MAP_FAILED || a->info == MAP_FAILED ? -ENOMEM : 0;
	}
	if (*err) {
		arena_destroy(a);
		return NULL;
	}
	a->n_filled = 1;
	return a;
}

static void lock(struct jit_arena *a)
{
	while (!arena_trylock(a))
		__builtin_ia32_pause();
}

int arena_join(struct jit_arena *a, struct jit *j)
{
	u8 *place = map_private(a->bytes + records_bytes(a));

	if (place == MAP_FAILED)
		return -ENOMEM;
	if (mmap(place, a->bytes, PROT_READ | PROT_EXEC, MAP_SHARED | MAP_FIXED, a->fd, 0) ==
	    MAP_FAILED) {
		int err = -errno;

		munmap(place, a->bytes + records_bytes(a));
		return err;
	}
	j->exec = place;
	j->data = place + a->bytes;
	j->arena = a;
	lock(a);
	j->retired = a->n_retired;
	j->next = a->tiers;
	a->tiers = j;
	a->users++;
	arena_unlock(a);
	return 0;
}

void arena_leave(struct jit *j)
{
	struct jit_arena *a = j->arena;
	struct jit **at = &a->tiers;
	bool last;

	lock(a);
	while (*at != j)
		at = &(*at)->next;
	*at = j->next;
	last = !--a->users;
	arena_unlock(a);
	munmap(j->exec, a->bytes + records_bytes(a));
	if (last)
		arena_destroy(a);
}

bool arena_trylock(struct jit_arena *a)
{
	return !__atomic_load_n((u32 *)&a->lock, __ATOMIC_RELAXED) &&
	       !__atomic_exchange_n((u32 *)&a->lock, 1, __ATOMIC_ACQUIRE);
}

void arena_unlock(struct jit_arena *a)
{
	__atomic_store_n((u32 *)&a->lock, 0, __ATOMIC_RELEASE);
}

/* ---- regions ---- */

/* The oldest region is found no more; who has something there is told. */
static void retire(struct jit_arena *a, const struct jit *self)
{
	struct jit_region *r = &a->region[a->n_retired % a->n_regions];

	for (struct jit_code *c = r->first; c; c = c->next_in) {
		struct jit_code **at = &a->bucket[arena_bucket(c->rip, c->mode, c->code, c->bytes)];

		while (*at != c)
			at = &(*at)->next;
		__atomic_store_n(at, c->next, __ATOMIC_RELAXED);
	}
	r->first = NULL;
	__atomic_fetch_add((u64 *)&a->n_retired, 1, __ATOMIC_SEQ_CST);
	for (struct jit *j = a->tiers; j; j = j->next)
		if (j != self)
			vp_request(j->vp, VP_ATTN_CODE);
}

/* Has every processor given up what was retired? One that is offline sees it before it runs
 * again. */
static bool all_gave_up(const struct jit_arena *a)
{
	for (const struct jit *j = a->tiers; j; j = j->next)
		if (__atomic_load_n((const u64 *)&j->retired, __ATOMIC_ACQUIRE) != a->n_retired &&
		    !__atomic_load_n((const bool *)&j->vp->tlb.offline, __ATOMIC_SEQ_CST))
			return false;
	return true;
}

/* Retire so many that @n more can be begun. */
static void retire_for(struct jit *j, u32 n)
{
	struct jit_arena *a = j->arena;

	while (a->n_filled + n > a->n_retired + a->n_regions)
		retire(a, j);
	share_give_up(j);
}

static bool has_room(const struct jit_arena *a)
{
	const struct jit_region *r = &a->region[a->now];

	return r->code + ROOM_MIN <= a->part && r->data + JIT_BLOCK_MAX_DATA <= a->part &&
	       r->info + ROOM_MIN <= a->part &&
	       r->n_traps + 2 * BLOCK_MAX_OPS <= ARENA_TRAPS / ARENA_REGIONS;
}

struct jit_region *arena_room(struct jit *j)
{
	struct jit_arena *a = j->arena;
	struct jit_region *r;

	if (likely(has_room(a)))
		return &a->region[a->now];
	retire_for(j, 1);
	if (!all_gave_up(a))
		return NULL;
	a->now = (u32)(a->n_filled++ % a->n_regions);
	r = &a->region[a->now];
	r->code = r->data = r->info = 0;
	__atomic_store_n(&r->n_traps, 0, __ATOMIC_RELEASE);
	/* The next is retired now, so that processors have given it up when it is needed. */
	if (a->users > 1 && a->n_regions > 2)
		retire_for(j, 1);
	return r;
}

void arena_is_full(struct jit_arena *a)
{
	a->region[a->now].code = a->part;
}

void *arena_info(struct jit_arena *a, u32 bytes)
{
	struct jit_region *r = &a->region[a->now];
	u8 *p = a->info + arena_data_at(a, a->now) + r->info;

	bytes = ALIGN_UP(bytes, 8u);
	if (r->info + bytes > a->part)
		return NULL;
	r->info += bytes;
	return p;
}
