/*
 * struct mem: the physical address space of one machine. RAM is one host mapping (hpa = offset in
 * it); everything else is regions with ops that devices register; ports likewise. The engine calls
 * region ops in mid-instruction. Guest physical addresses are checked here and nowhere else: no
 * function returns a pointer outside the machine's RAM.
 *
 * RAM sits at gpa 0 .. min(size, MEM_HOLE_START) and, above that, from 4 GiB on.
 * Built -mgeneral-regs-only. Cost: mem_ram_hva() a compare and an add; mem_lookup() of MMIO a
 * binary search.
 */
#ifndef L0_MEM_MEM_H
#define L0_MEM_MEM_H

#include "l0/base/types.h"

#define MEM_HOLE_START 0xc0000000ull /* RAM below 4 GiB ends here at the latest */
#define MEM_HOLE_END 0x100000000ull

struct mem;

struct mmio_ops {
	/* @offset from the region's start; @size 1, 2, 4 or 8 bytes; never crosses the region's end
	 */
	u64 (*read)(void *dev, u64 offset, unsigned int size);
	void (*write)(void *dev, u64 offset, u64 value, unsigned int size);
};

/*
 * An access of 2 or 4 bytes reaches the device whole when the device claims that width, else as
 * single bytes, each at its own port, as an ISA bus does it for 8-bit devices (a byte whose port
 * nobody claims reads all ones). @widths is a mask of the sizes claimed (1 | 2 | 4); claimed sizes
 * are passed on even where the access reaches past the range's end. 0, the default: every size as
 * long as the whole access lies inside the range.
 */
struct port_ops {
	u32 (*read)(void *dev, u16 port, unsigned int size); /* size 1, 2 or 4 */
	void (*write)(void *dev, u16 port, u32 value, unsigned int size);
	u8 widths;
};

struct mem_region {
	u64 gpa, bytes; /* page-aligned start not required; the engine sends MMIO by access */
	const struct mmio_ops *ops;
	void *dev;
	const char *name;
};

/*
 * A page frame of RAM: flags that make the soft TLB refuse a write tag. A frame with @code_lines is
 * refused as well, whatever its flags say.
 */
#define MEM_FRAME_TRACKED 0x02u	  /* virtual TLB tracks it as a guest page table */
#define MEM_FRAME_PROTECTED 0x04u /* two-stage write protection, marked */
#define MEM_FRAME_MONITORED \
	0x08u /* MONITOR: somebody waits for a store to it; the store clears it */

#define MEM_FRAME_GUARDS \
	(MEM_FRAME_TRACKED | MEM_FRAME_PROTECTED | MEM_FRAME_MONITORED) /* and code_lines */
#define MEM_FRAME_WRITABLE 0x80u /* no guard: some soft TLB may hold a write tag of it */

/* One per 4 KiB frame of RAM. Code blocks remember @code_gen: when it has moved on,
 * mem_code_stamps() tell whether that was for a line of theirs. */
struct mem_frame {
	_Atomic u32 code_gen;	/* bumped when a line with code was written */
	_Atomic u32 code_lines; /* one bit per 128 bytes: code was decoded from there */
	_Atomic u8 flags;	/* MEM_FRAME_* */
	_Atomic u16 beside;	/* stores that came here for the marks, and hit none of them */
};

/* Must a write to this frame take the slow path (and mem_note_write())? */
static inline bool mem_frame_is_guarded(struct mem_frame *f)
{
	return (__atomic_load_n((u8 *)&f->flags, __ATOMIC_ACQUIRE) & MEM_FRAME_GUARDS) ||
	       __atomic_load_n((u32 *)&f->code_lines, __ATOMIC_ACQUIRE);
}

/* Where RAM is; constant after mem_create(). For inline look-ups on hot paths. */
struct mem_map {
	u8 *base;		  /* hpa 0 */
	u64 low_bytes;		  /* gpa [0, low_bytes) is hpa [0, low_bytes) */
	u64 high_bytes;		  /* gpa [4 GiB, 4 GiB + high_bytes) is hpa [low_bytes, …) */
	struct mem_frame *frames; /* by hpa */
	/* 32 a frame: the code_gen that a line's code was overwritten under */
	u32 *stamps;
};

struct mem *mem_create(u64 ram_bytes, int *err); /* NULL + -errno */
void mem_destroy(struct mem *m);
u64 mem_ram_bytes(const struct mem *m);
u8 *mem_ram_base(const struct mem *m);

const struct mem_map *mem_map(const struct mem *m);

/* All of RAM reads zero again, as after mem_create(); the machine's processors do not run. */
void mem_clear(struct mem *m);

/*
 * Register a region / a port range; @name and @ops outlive @m. Both are meant for the time before
 * the VPs run. A region may not cover RAM.
 * Return: 0, -EEXIST when it overlaps another (or RAM), -EINVAL (empty, wraps), -ENOMEM.
 */
int mem_add_mmio(struct mem *m, const char *name, u64 gpa, u64 bytes, const struct mmio_ops *ops,
		 void *dev);
int mem_add_ports(struct mem *m, const char *name, u16 first, u32 count, const struct port_ops *ops,
		  void *dev);
/*
 * mem_move_mmio - a BAR was reprogrammed; safe while VPs run (the caller then calls
 * vtlb_memory_changed()). Return: 0; -ENOENT; -EEXIST, -EINVAL: nothing changed.
 */
int mem_move_mmio(struct mem *m, void *dev, u64 old_gpa, u64 new_gpa);

/* gpa → offset in RAM when [gpa, gpa+len) lies in one run of RAM (len > 0), else -1. */
static inline s64 mem_map_hpa(const struct mem_map *map, u64 gpa, u64 len)
{
	if (likely(gpa < map->low_bytes))
		return len <= map->low_bytes - gpa ? (s64)gpa : -1;
	gpa -= MEM_HOLE_END; /* wraps below it, and fails the compare */
	if (gpa < map->high_bytes && len <= map->high_bytes - gpa)
		return (s64)(map->low_bytes + gpa);
	return -1;
}

/* gpa → host pointer when [gpa, gpa+len) lies in one run of RAM, else NULL. */
u8 *mem_ram_hva(const struct mem *m, u64 gpa, u64 len);
static inline u8 *mem_map_hva(const struct mem_map *map, u64 gpa, u64 len)
{
	s64 hpa_off = mem_map_hpa(map, gpa, len);

	return likely(hpa_off >= 0) ? map->base + hpa_off : NULL;
}

struct mem_frame *mem_frame(const struct mem *m, u64 gpa);	 /* NULL outside RAM */
const struct mem_region *mem_mmio(const struct mem *m, u64 gpa); /* NULL: RAM or nothing there */

/*
 * Device access by the engine or L0: size 1, 2, 4 or 8, ports 1, 2 or 4. Unclaimed reads give all
 * ones; unclaimed accesses are reported once an address and direction, the first 4096 of them. An
 * MMIO access that reaches past its region's end is done by bytes.
 */
u64 mem_mmio_read(struct mem *m, u64 gpa, unsigned int size);
void mem_mmio_write(struct mem *m, u64 gpa, u64 value, unsigned int size);
u32 mem_port_read(struct mem *m, u16 port, unsigned int size);
void mem_port_write(struct mem *m, u16 port, u32 value, unsigned int size);
typedef void (*mem_unclaimed_fn)(void *arg, bool port, bool write, u64 addr, u64 value,
				 unsigned int size);
void mem_set_unclaimed(struct mem *m, mem_unclaimed_fn fn, void *arg);

/* Checked copies to and from guest RAM for loaders, VMX structures, dumps. Writes go through
 * mem_note_write(). Return: 0, -EFAULT when any byte is not RAM (nothing was written). */
int mem_read(const struct mem *m, u64 gpa, void *buf, u64 len);
int mem_write(struct mem *m, u64 gpa, const void *buf, u64 len);

#define MEM_CODE_LINE_SHIFT 7 /* 128 bytes */
#define MEM_CODE_LINES (PAGE_SIZE >> MEM_CODE_LINE_SHIFT)

/*
 * Is code in the lines @lines of @f what it was under generation @gen? *now is a generation under
 * which it is known to be, when so. Stamps are written before the generation moves on, and read
 * after it.
 */
static inline bool mem_code_is_intact(const struct mem_map *map, const struct mem_frame *f,
				      u32 lines, u32 gen, u32 *now)
{
	const u32 *stamp = map->stamps + (u64)(f - map->frames) * MEM_CODE_LINES;

	*now = __atomic_load_n((const u32 *)&f->code_gen, __ATOMIC_ACQUIRE);
	for (; lines; lines &= lines - 1)
		if ((s32)(__atomic_load_n(&stamp[__builtin_ctz(lines)], __ATOMIC_RELAXED) - gen) >
		    0)
			return false;
	return true;
}

/* Bits of the lines that [offset, offset+len) of a page touches; len > 0, within the page. */
static inline u32 mem_line_mask(u64 offset, u64 len)
{
	return (u32)(~0ull >> (63 - ((offset + len - 1) >> MEM_CODE_LINE_SHIFT)) &
		     ~0ull << (offset >> MEM_CODE_LINE_SHIFT));
}

/*
 * A write reached RAM [gpa, gpa+len) by a slow path (the frame had flags) or by a device or L0.
 * Bumps code_gen when a line with code was hit, tells the trackers registered below.
 */
void mem_note_write(struct mem *m, u64 gpa, u64 len);

/*
 * Code that was decoded from @lines of @f is void: they are stamped, its generation moves on, and
 * who watches is told by @bit in its attention word. A watcher asks mem_code_moves() for the frames
 * from where it left off: @from counts on; *frame is one that moved, or NULL when there were too
 * many to remember and any may have. Return: false: no more.
 */
void mem_code_moved(struct mem *m, struct mem_frame *f, u32 lines);
int mem_watch_code(struct mem *m, _Atomic u32 *attn, u32 bit); /* 0, -ENOSPC */
void mem_unwatch_code(struct mem *m, _Atomic u32 *attn);
bool mem_code_moves(struct mem *m, u64 *from, struct mem_frame **frame);

/*
 * mem_mark_code - the decoder is about to read code at [gpa, gpa+len), all in one frame of RAM
 * @first: set when the frame held no code so far: vtlb_protect_frame() is due, before the bytes
 *         are read
 * Return: the code_gen to remember with the block. Whatever write comes later moves the frame's
 * code_gen on: marks are set before the generation is read, and looked at again after it.
 * A hit by mem_note_write() clears the marks of the lines that were hit: their blocks are dead
 * then. So do
 * many stores to other lines with all marks: whatever still runs is marked again, and a page whose
 * code is gone gets its stores back.
 */
u32 mem_mark_code(struct mem *m, u64 gpa, u64 len, bool *first);
typedef void (*mem_tracked_fn)(void *arg, u64 gpa, u64 len);
void mem_set_tracked(struct mem *m, mem_tracked_fn fn, void *arg); /* writes to TRACKED frames */
/* The first write to a frame after it became MONITORED; after the bytes are stored. */
void mem_set_monitored(struct mem *m, mem_tracked_fn fn, void *arg);
/* How many MONITORED marks stores have taken away; moves before the mark goes. */
u64 mem_monitored_stores(struct mem *m);

#endif
