/*
 * The physical address space of a machine: RAM, device regions, ports, and what must be told when
 * RAM is written.
 *
 * RAM and the frames are two host mappings without reservation, so a large machine costs what it
 * touches. Look-ups of regions run beside mem_move_mmio() on another thread: the sorted table is
 * guarded by a sequence counter (odd: being changed), the region structures themselves stay where
 * they are until mem_destroy().
 */
#include "l0/mem/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "l0/base/assert.h"
#include "l0/base/bits.h"
#include "l0/base/hash.h"
#include "l0/base/mem_ops.h"

#define MAX_REGIONS 128
#define MAX_PORT_RANGES 255 /* index 0 of the port table: nobody */
#define PORT_COUNT 65536u
#define UNCLAIMED_SLOTS 8192u /* power of two */
#define UNCLAIMED_MAX 4096u
#define RAM_BYTES_MAX (1ull << 46)

struct port_range {
	const struct port_ops *ops;
	void *dev;
	const char *name;
	u32 first, count;
};

#define BESIDE_MAX 4096u /* divides 2^16 */
#define MOVED_KEPT 32u
#define MEM_CODE_WATCHERS 64u

struct mem {
	struct mem_map map;
	u64 ram_bytes;

	/* Regions by address. Writer: mem_add_mmio(), mem_move_mmio(), one at a time under @lock.
	 */
	_Atomic u32 region_seq; /* odd while @region changes */
	_Atomic u32 region_count;
	struct mem_region *_Atomic region[MAX_REGIONS];
	_Atomic bool lock;

	u32 range_count;
	struct port_range range[MAX_PORT_RANGES + 1];
	u8 *port_index; /* [PORT_COUNT] → range */

	mem_unclaimed_fn unclaimed;
	void *unclaimed_arg;
	_Atomic u32 unclaimed_count;
	_Atomic u64 unclaimed_key[UNCLAIMED_SLOTS]; /* 0: free */

	mem_tracked_fn tracked;
	void *tracked_arg;
	_Atomic u64 monitored_stores;
	mem_tracked_fn monitored;
	void *monitored_arg;

	/* Frames whose code moved last, and who wants to know. Written under the lock; the frames
	 * and their count are read without. */
	_Atomic bool moved_lock;
	_Atomic u64 moved_count;
	struct mem_frame *moved[MOVED_KEPT];
	struct code_watch {
		_Atomic u32 *attn;
		u32 bit;
	} watch[MEM_CODE_WATCHERS];
	u32 watchers; /* places in use, with gaps */
};

static void *map_zeroed(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* RAM on a 2 MiB boundary, so that the host may back it with large pages. */
static u8 *map_ram(u64 bytes)
{
	u64 room = bytes + PAGE_SIZE_2M;
	u8 *p = map_zeroed(room);

	if (!p)
		return NULL;
	u8 *base = (u8 *)ALIGN_UP((uintptr_t)p, (uintptr_t)PAGE_SIZE_2M);

	if (base > p)
		munmap(p, (size_t)(base - p));
	if (base + bytes < p + room)
		munmap(base + bytes, (size_t)(p + room - base - bytes));
	madvise(base, bytes, MADV_HUGEPAGE); /* only a wish */
	return base;
}

/* Touched only where code was overwritten. */
static u64 stamps_bytes(const struct mem *m)
{
	return m->ram_bytes / PAGE_SIZE * MEM_CODE_LINES * sizeof(u32);
}

struct mem *mem_create(u64 ram_bytes, int *err)
{
	if (!ram_bytes || ram_bytes % PAGE_SIZE || ram_bytes > RAM_BYTES_MAX) {
		*err = -EINVAL;
		return NULL;
	}
	struct mem *m = calloc(1, sizeof(*m));

	*err = -ENOMEM;
	if (!m)
		return NULL;
	m->ram_bytes = ram_bytes;
	m->map.low_bytes = MIN(ram_bytes, (u64)MEM_HOLE_START);
	m->map.high_bytes = ram_bytes - m->map.low_bytes;
	m->port_index = calloc(1, PORT_COUNT);
	m->map.base = map_ram(ram_bytes);
	m->map.frames = map_zeroed(ram_bytes / PAGE_SIZE * sizeof(struct mem_frame));
	m->map.stamps = map_zeroed(stamps_bytes(m));
	if (!m->port_index || !m->map.base || !m->map.frames || !m->map.stamps) {
		mem_destroy(m);
		return NULL;
	}
	*err = 0;
	return m;
}

void mem_destroy(struct mem *m)
{
	if (!m)
		return;
	if (m->map.base)
		munmap(m->map.base, m->ram_bytes);
	if (m->map.frames)
		munmap(m->map.frames, m->ram_bytes / PAGE_SIZE * sizeof(struct mem_frame));
	if (m->map.stamps)
		munmap(m->map.stamps, stamps_bytes(m));
	for (u32 i = 0; i < m->region_count; i++)
		free(m->region[i]);
	free(m->port_index);
	free(m);
}

u64 mem_ram_bytes(const struct mem *m)
{
	return m->ram_bytes;
}
u8 *mem_ram_base(const struct mem *m)
{
	return m->map.base;
}
const struct mem_map *mem_map(const struct mem *m)
{
	return &m->map;
}

u8 *mem_ram_hva(const struct mem *m, u64 gpa, u64 len)
{
	return mem_map_hva(&m->map, gpa, len);
}

struct mem_frame *mem_frame(const struct mem *m, u64 gpa)
{
	s64 at = mem_map_hpa(&m->map, gpa, 1);

	return at >= 0 ? &m->map.frames[(u64)at / PAGE_SIZE] : NULL;
}

/* ---- regions -------------------------------------------------------------------------------- */

static void regions_lock(struct mem *m)
{
	while (__atomic_exchange_n((bool *)&m->lock, true, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void regions_unlock(struct mem *m)
{
	__atomic_store_n((bool *)&m->lock, false, __ATOMIC_RELEASE);
}

/* Acquire: the sequence is read again after these. */
static struct mem_region *region_at(const struct mem *m, u32 i)
{
	return __atomic_load_n((struct mem_region *const *)&m->region[i], __ATOMIC_ACQUIRE);
}

static u64 region_gpa(const struct mem_region *r)
{
	return __atomic_load_n(&r->gpa, __ATOMIC_ACQUIRE);
}

static bool overlaps(u64 a, u64 a_bytes, u64 b, u64 b_bytes)
{
	return a < b + b_bytes && b < a + a_bytes;
}

/* May [gpa, gpa+bytes) become a region? @except is the region that moves there, or NULL. */
static int check_place(const struct mem *m, u64 gpa, u64 bytes, const struct mem_region *except)
{
	if (!bytes || gpa + bytes < gpa)
		return -EINVAL;
	if (overlaps(gpa, bytes, 0, m->map.low_bytes) ||
	    (m->map.high_bytes && overlaps(gpa, bytes, MEM_HOLE_END, m->map.high_bytes)))
		return -EEXIST;
	for (u32 i = 0; i < m->region_count; i++) {
		const struct mem_region *r = m->region[i];

		if (r != except && overlaps(gpa, bytes, r->gpa, r->bytes))
			return -EEXIST;
	}
	return 0;
}

/* Put @r, which is not in the table, where it belongs. @lock held, sequence odd. */
static void insert_sorted(struct mem *m, struct mem_region *r)
{
	u32 i = m->region_count;

	for (; i > 0 && region_gpa(region_at(m, i - 1)) > r->gpa; i--)
		m->region[i] = m->region[i - 1];
	m->region[i] = r;
	m->region_count++;
}

int mem_add_mmio(struct mem *m, const char *name, u64 gpa, u64 bytes, const struct mmio_ops *ops,
		 void *dev)
{
	struct mem_region *r = malloc(sizeof(*r));
	int err = -ENOMEM;

	if (!r)
		return -ENOMEM;
	*r = (struct mem_region){.gpa = gpa, .bytes = bytes, .ops = ops, .dev = dev, .name = name};
	regions_lock(m);
	if (m->region_count == MAX_REGIONS)
		goto out;
	err = check_place(m, gpa, bytes, NULL);
	if (err)
		goto out;
	__atomic_fetch_add((u32 *)&m->region_seq, 1, __ATOMIC_SEQ_CST);
	insert_sorted(m, r);
	__atomic_fetch_add((u32 *)&m->region_seq, 1, __ATOMIC_SEQ_CST);
	r = NULL;
out:
	regions_unlock(m);
	free(r);
	return err;
}

int mem_move_mmio(struct mem *m, void *dev, u64 old_gpa, u64 new_gpa)
{
	struct mem_region *r = NULL;
	int err = -ENOENT;
	u32 at;

	regions_lock(m);
	for (at = 0; at < m->region_count; at++) {
		r = m->region[at];
		if (r->dev == dev && r->gpa == old_gpa)
			break;
	}
	if (at == m->region_count)
		goto out;
	err = check_place(m, new_gpa, r->bytes, r);
	if (err)
		goto out;
	__atomic_fetch_add((u32 *)&m->region_seq, 1, __ATOMIC_SEQ_CST);
	for (u32 i = at; i + 1 < m->region_count; i++)
		m->region[i] = m->region[i + 1];
	m->region_count--;
	__atomic_store_n(&r->gpa, new_gpa, __ATOMIC_RELAXED);
	insert_sorted(m, r);
	__atomic_fetch_add((u32 *)&m->region_seq, 1, __ATOMIC_SEQ_CST);
out:
	regions_unlock(m);
	return err;
}

/* The region that holds @gpa; the table does not change during this, or the result is not used. */
static const struct mem_region *search_region(const struct mem *m, u64 gpa)
{
	u32 lo = 0, hi = __atomic_load_n((const u32 *)&m->region_count, __ATOMIC_RELAXED);

	while (lo < hi) {
		u32 mid = (lo + hi) / 2;
		const struct mem_region *r = region_at(m, mid);
		u64 start = region_gpa(r);

		if (gpa < start)
			hi = mid;
		else if (gpa - start >= r->bytes)
			lo = mid + 1;
		else
			return r;
	}
	return NULL;
}

const struct mem_region *mem_mmio(const struct mem *m, u64 gpa)
{
	if (mem_map_hpa(&m->map, gpa, 1) >= 0)
		return NULL;
	for (;;) {
		u32 seq = __atomic_load_n((const u32 *)&m->region_seq, __ATOMIC_ACQUIRE);

		if (likely(!(seq & 1))) {
			const struct mem_region *r = search_region(m, gpa);

			if (likely(seq ==
				   __atomic_load_n((const u32 *)&m->region_seq, __ATOMIC_RELAXED)))
				return r;
		}
		__builtin_ia32_pause();
	}
}

/* ---- accesses that nobody claims ------------------------------------------------------------- */

void mem_set_unclaimed(struct mem *m, mem_unclaimed_fn fn, void *arg)
{
	m->unclaimed = fn;
	m->unclaimed_arg = arg;
}

/* Remember @key; true the first time. A full set remembers nothing more, and reports nothing. */
static bool unclaimed_is_new(struct mem *m, u64 key)
{
	u32 at = (u32)(hash_u64(key) % UNCLAIMED_SLOTS);

	for (;; at = (at + 1) % UNCLAIMED_SLOTS) {
		u64 old = __atomic_load_n((u64 *)&m->unclaimed_key[at], __ATOMIC_RELAXED);

		if (old == key)
			return false;
		if (old)
			continue;
		if (__atomic_load_n((u32 *)&m->unclaimed_count, __ATOMIC_RELAXED) >= UNCLAIMED_MAX)
			return false;
		if (__atomic_compare_exchange_n((u64 *)&m->unclaimed_key[at], &old, key, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
			__atomic_fetch_add((u32 *)&m->unclaimed_count, 1, __ATOMIC_RELAXED);
			return true;
		}
		if (old == key)
			return false;
	}
}

static __cold_path void report_unclaimed(struct mem *m, bool port, bool write, u64 addr, u64 value,
					 unsigned int size)
{
	u64 key = (addr << 3) | (u64)port << 2 | (u64)write << 1 | 1;

	if (m->unclaimed && unclaimed_is_new(m, key))
		m->unclaimed(m->unclaimed_arg, port, write, addr, value, size);
}

/* ---- device accesses ------------------------------------------------------------------------- */

static u64 ones(unsigned int size)
{
	return mask_low(size * 8);
}

static u64 ram_read(const u8 *p, unsigned int size)
{
	switch (size) {
	case 1: return nm_load8(p);
	case 2: return nm_load16(p);
	case 4: return nm_load32(p);
	default: return nm_load64(p);
	}
}

static void ram_write(u8 *p, u64 value, unsigned int size)
{
	switch (size) {
	case 1: nm_store8(p, (u8)value); break;
	case 2: nm_store16(p, (u16)value); break;
	case 4: nm_store32(p, (u32)value); break;
	default: nm_store64(p, value); break;
	}
}

u64 mem_mmio_read(struct mem *m, u64 gpa, unsigned int size)
{
	const struct mem_region *r = mem_mmio(m, gpa);

	if (likely(r != NULL)) {
		u64 off = gpa - region_gpa(r);

		if (likely(off < r->bytes && size <= r->bytes - off))
			return r->ops->read(r->dev, off, size) & ones(size);
	} else {
		const u8 *p = mem_ram_hva(m, gpa, size);

		if (p)
			return ram_read(p, size);
	}
	if (size == 1 || (!r && mem_map_hpa(&m->map, gpa, 1) < 0)) {
		report_unclaimed(m, false, false, gpa, 0, size);
		return ones(size);
	}
	u64 v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= mem_mmio_read(m, gpa + i, 1) << (8 * i);
	return v;
}

void mem_mmio_write(struct mem *m, u64 gpa, u64 value, unsigned int size)
{
	const struct mem_region *r = mem_mmio(m, gpa);

	value &= ones(size);
	if (likely(r != NULL)) {
		u64 off = gpa - region_gpa(r);

		if (likely(off < r->bytes && size <= r->bytes - off)) {
			r->ops->write(r->dev, off, value, size);
			return;
		}
	} else {
		u8 *p = mem_ram_hva(m, gpa, size);

		if (p) {
			ram_write(p, value, size);
			mem_note_write(m, gpa, size);
			return;
		}
	}
	if (size == 1 || (!r && mem_map_hpa(&m->map, gpa, 1) < 0)) {
		report_unclaimed(m, false, true, gpa, value, size);
		return;
	}
	for (unsigned int i = 0; i < size; i++)
		mem_mmio_write(m, gpa + i, value >> (8 * i) & 0xff, 1);
}

/* ---- ports ----------------------------------------------------------------------------------- */

int mem_add_ports(struct mem *m, const char *name, u16 first, u32 count, const struct port_ops *ops,
		  void *dev)
{
	if (!count || count > PORT_COUNT || first + count > PORT_COUNT)
		return -EINVAL;
	for (u32 i = 0; i < count; i++)
		if (m->port_index[first + i])
			return -EEXIST;
	if (m->range_count == MAX_PORT_RANGES)
		return -ENOMEM;
	m->range[++m->range_count] = (struct port_range){ops, dev, name, first, count};
	for (u32 i = 0; i < count; i++)
		m->port_index[first + i] = (u8)m->range_count;
	return 0;
}

/* The range of @port when it takes an access of this size whole; else NULL. */
static const struct port_range *port_taker(const struct mem *m, u16 port, unsigned int size)
{
	u32 index = m->port_index[port];
	const struct port_range *r = &m->range[index];

	if (!index)
		return NULL;
	if (r->ops->widths)
		return r->ops->widths & size || size == 1 ? r : NULL;
	return port - r->first + size <= r->count ? r : NULL;
}

/* Does any port of the access belong to somebody? If not, it is reported whole. */
static bool port_is_claimed(const struct mem *m, u16 port, unsigned int size)
{
	for (unsigned int i = 0; i < size; i++)
		if (m->port_index[(u16)(port + i)])
			return true;
	return false;
}

u32 mem_port_read(struct mem *m, u16 port, unsigned int size)
{
	const struct port_range *r = port_taker(m, port, size);

	if (likely(r != NULL))
		return (u32)(r->ops->read(r->dev, port, size) & ones(size));
	if (size == 1 || !port_is_claimed(m, port, size)) {
		report_unclaimed(m, true, false, port, 0, size);
		return (u32)ones(size);
	}
	u32 v = 0;

	for (unsigned int i = 0; i < size; i++)
		v |= mem_port_read(m, (u16)(port + i), 1) << (8 * i);
	return v;
}

void mem_port_write(struct mem *m, u16 port, u32 value, unsigned int size)
{
	const struct port_range *r = port_taker(m, port, size);

	value &= (u32)ones(size);
	if (likely(r != NULL)) {
		r->ops->write(r->dev, port, value, size);
		return;
	}
	if (size == 1 || !port_is_claimed(m, port, size)) {
		report_unclaimed(m, true, true, port, value, size);
		return;
	}
	for (unsigned int i = 0; i < size; i++)
		mem_port_write(m, (u16)(port + i), value >> (8 * i) & 0xff, 1);
}

/* ---- copies and write notes ------------------------------------------------------------------ */

int mem_read(const struct mem *m, u64 gpa, void *buf, u64 len)
{
	const u8 *p = len ? mem_ram_hva(m, gpa, len) : NULL;

	if (!p)
		return len ? -EFAULT : 0;
	nm_copy(buf, p, len);
	return 0;
}

int mem_write(struct mem *m, u64 gpa, const void *buf, u64 len)
{
	u8 *p = len ? mem_ram_hva(m, gpa, len) : NULL;

	if (!p)
		return len ? -EFAULT : 0;
	nm_copy(p, buf, len);
	mem_note_write(m, gpa, len);
	return 0;
}

void mem_set_tracked(struct mem *m, mem_tracked_fn fn, void *arg)
{
	m->tracked = fn;
	m->tracked_arg = arg;
}

void mem_set_monitored(struct mem *m, mem_tracked_fn fn, void *arg)
{
	m->monitored = fn;
	m->monitored_arg = arg;
}

u64 mem_monitored_stores(struct mem *m)
{
	return __atomic_load_n((u64 *)&m->monitored_stores, __ATOMIC_SEQ_CST);
}

/* ---- who wants to know that code moved ---- */

static void moved_take(struct mem *m)
{
	while (__atomic_exchange_n((bool *)&m->moved_lock, true, __ATOMIC_ACQUIRE))
		__builtin_ia32_pause();
}

static void moved_give(struct mem *m)
{
	__atomic_store_n((bool *)&m->moved_lock, false, __ATOMIC_RELEASE);
}

void mem_code_moved(struct mem *m, struct mem_frame *f, u32 lines)
{
	u32 *stamp = m->map.stamps + (u64)(f - m->map.frames) * MEM_CODE_LINES, gen;

	moved_take(m);
	gen = __atomic_load_n((u32 *)&f->code_gen, __ATOMIC_RELAXED) + 1;
	for (; lines; lines &= lines - 1)
		__atomic_store_n(&stamp[__builtin_ctz(lines)], gen, __ATOMIC_RELAXED);
	__atomic_store_n((u32 *)&f->code_gen, gen, __ATOMIC_RELEASE);
	u64 n = __atomic_load_n((u64 *)&m->moved_count, __ATOMIC_RELAXED);

	__atomic_store_n(&m->moved[n % MOVED_KEPT], f, __ATOMIC_RELEASE);
	__atomic_store_n((u64 *)&m->moved_count, n + 1, __ATOMIC_RELEASE);
	/* Even where the bit is up: who takes it down now is to see the frame. */
	for (u32 i = 0; i < m->watchers; i++)
		if (m->watch[i].attn)
			__atomic_fetch_or((u32 *)m->watch[i].attn, m->watch[i].bit,
					  __ATOMIC_SEQ_CST);
	moved_give(m);
}

int mem_watch_code(struct mem *m, _Atomic u32 *attn, u32 bit)
{
	u32 i = 0;

	moved_take(m);
	while (i < m->watchers && m->watch[i].attn)
		i++;
	if (i < MEM_CODE_WATCHERS) {
		m->watch[i] = (struct code_watch){attn, bit};
		if (i == m->watchers)
			__atomic_store_n(&m->watchers, i + 1, __ATOMIC_RELEASE);
	}
	moved_give(m);
	return i < MEM_CODE_WATCHERS ? 0 : -ENOSPC;
}

void mem_unwatch_code(struct mem *m, _Atomic u32 *attn)
{
	moved_take(m);
	for (u32 i = 0; i < m->watchers; i++)
		if (m->watch[i].attn == attn)
			m->watch[i].attn = NULL;
	moved_give(m);
}

bool mem_code_moves(struct mem *m, u64 *from, struct mem_frame **frame)
{
	u64 n = __atomic_load_n((u64 *)&m->moved_count, __ATOMIC_ACQUIRE);

	*frame = NULL;
	if (*from == n)
		return false;
	*frame = __atomic_load_n(&m->moved[*from % MOVED_KEPT], __ATOMIC_ACQUIRE);
	/* The next writer may be at the oldest already. */
	n = __atomic_load_n((u64 *)&m->moved_count, __ATOMIC_RELAXED);
	if (likely(n - *from < MOVED_KEPT)) {
		++*from;
	} else {
		*frame = NULL;
		*from = n;
	}
	return true;
}

/*
 * The marks go first, the generation after them: mem_mark_code() looks at its marks again after it
 * read the generation, so either the block it makes is dead or its marks are still set.
 */
static void note_frame(struct mem *m, struct mem_frame *f, u64 gpa, u64 len)
{
	u32 mask = mem_line_mask(gpa % PAGE_SIZE, len);
	/* the bytes are there before the marks are looked at: who marks now, decodes them */
	u32 lines = __atomic_fetch_and((u32 *)&f->code_lines, ~mask, __ATOMIC_SEQ_CST);
	u32 hit = lines & mask;

	if (lines && !hit &&
	    __atomic_fetch_add((u16 *)&f->beside, 1, __ATOMIC_RELAXED) % BESIDE_MAX ==
		    BESIDE_MAX - 1) {
		__atomic_fetch_and((u32 *)&f->code_lines, ~lines, __ATOMIC_SEQ_CST);
		hit = lines;
	}
	if (unlikely(hit))
		mem_code_moved(m, f, hit);
	if (unlikely(__atomic_load_n((u8 *)&f->flags, __ATOMIC_RELAXED) & MEM_FRAME_TRACKED) &&
	    m->tracked)
		m->tracked(m->tracked_arg, gpa, len);
	if (unlikely(__atomic_load_n((u8 *)&f->flags, __ATOMIC_RELAXED) & MEM_FRAME_MONITORED) &&
	    m->monitored) {
		__atomic_fetch_add((u64 *)&m->monitored_stores, 1, __ATOMIC_SEQ_CST);
		__atomic_fetch_and((u8 *)&f->flags, (u8)~MEM_FRAME_MONITORED, __ATOMIC_SEQ_CST);
		m->monitored(m->monitored_arg, gpa, len);
	}
}

void mem_note_write(struct mem *m, u64 gpa, u64 len)
{
	s64 at = len ? mem_map_hpa(&m->map, gpa, len) : -1;

	if (at < 0)
		return;
	struct mem_frame *f = &m->map.frames[(u64)at / PAGE_SIZE];

	while (len) {
		u64 part = MIN(len, PAGE_SIZE - gpa % PAGE_SIZE);

		note_frame(m, f++, gpa, part);
		gpa += part;
		len -= part;
	}
}

void mem_clear(struct mem *m)
{
	u64 frames = m->ram_bytes / PAGE_SIZE;

	madvise(m->map.base, m->ram_bytes, MADV_DONTNEED); /* private and anonymous: zeros again */
	for (u64 i = 0; i < frames; i++) {
		u64 at = i * PAGE_SIZE;

		if (mem_frame_is_guarded(&m->map.frames[i]))
			note_frame(m, &m->map.frames[i],
				   at < m->map.low_bytes ? at
							 : MEM_HOLE_END + at - m->map.low_bytes,
				   PAGE_SIZE);
	}
}

u32 mem_mark_code(struct mem *m, u64 gpa, u64 len, bool *first)
{
	struct mem_frame *f = mem_frame(m, gpa);
	u32 lines, gen;

	*first = false;
	if (!f || !len)
		return 0;
	lines = mem_line_mask(gpa % PAGE_SIZE, MIN(len, PAGE_SIZE - gpa % PAGE_SIZE));
	do {
		gen = __atomic_load_n((u32 *)&f->code_lines, __ATOMIC_SEQ_CST);
		if ((gen & lines) != lines &&
		    !__atomic_fetch_or((u32 *)&f->code_lines, lines, __ATOMIC_SEQ_CST))
			*first = true;
		gen = __atomic_load_n((u32 *)&f->code_gen, __ATOMIC_SEQ_CST);
	} while ((__atomic_load_n((u32 *)&f->code_lines, __ATOMIC_SEQ_CST) & lines) != lines);
	return gen;
}
