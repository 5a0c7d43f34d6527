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
	/* @offset from the region's start; @size 1, 2, 4 or 8 bytes; never crosses the region's end */
	u64 (*read)(void *dev, u64 offset, unsigned int size);
	void (*write)(void *dev, u64 offset, u64 value, unsigned int size);
};

struct port_ops {
	u32 (*read)(void *dev, u16 port, unsigned int size); /* size 1, 2 or 4 */
	void (*write)(void *dev, u16 port, u32 value, unsigned int size);
};

struct mem_region {
	u64 gpa, bytes; /* page-aligned start not required; the engine sends MMIO by access */
	const struct mmio_ops *ops;
	void *dev;
	const char *name;
};

/* A page frame of RAM: flags that make the soft TLB refuse a write tag (see frame_flags). */
#define MEM_FRAME_CODE 0x01u	  /* operation cache or translator holds code of it */
#define MEM_FRAME_TRACKED 0x02u	  /* virtual TLB tracks it as a guest page table */
#define MEM_FRAME_PROTECTED 0x04u /* two-stage write protection, marked */

/* One per 4 KiB frame of RAM. Code blocks remember @code_gen and die when it moved on. */
struct mem_frame {
	_Atomic u32 code_gen;	/* bumped when a line with code was written */
	_Atomic u32 code_lines; /* one bit per 128 bytes: code was decoded from there */
	_Atomic u8 flags;	/* MEM_FRAME_* */
};

struct mem *mem_create(u64 ram_bytes, int *err); /* NULL + -errno */
void mem_destroy(struct mem *m);
u64 mem_ram_bytes(const struct mem *m);
u8 *mem_ram_base(const struct mem *m);

/* Register a region / a port range. Return: 0, -EEXIST when it overlaps another, -ENOMEM. */
int mem_add_mmio(struct mem *m, const char *name, u64 gpa, u64 bytes, const struct mmio_ops *ops, void *dev);
int mem_move_mmio(struct mem *m, void *dev, u64 old_gpa, u64 new_gpa);
int mem_add_ports(struct mem *m, const char *name, u16 first, u32 count, const struct port_ops *ops, void *dev);

/* gpa → host pointer when [gpa, gpa+len) lies in one run of RAM, else NULL. */
u8 *mem_ram_hva(const struct mem *m, u64 gpa, u64 len);
struct mem_frame *mem_frame(const struct mem *m, u64 gpa); /* NULL outside RAM */
const struct mem_region *mem_mmio(const struct mem *m, u64 gpa); /* NULL: RAM or nothing there */

/* Device access by the engine or L0: unclaimed reads give all ones, are reported once (mem_set_unclaimed). */
u64 mem_mmio_read(struct mem *m, u64 gpa, unsigned int size);
void mem_mmio_write(struct mem *m, u64 gpa, u64 value, unsigned int size);
u32 mem_port_read(struct mem *m, u16 port, unsigned int size);
void mem_port_write(struct mem *m, u16 port, u32 value, unsigned int size);
typedef void (*mem_unclaimed_fn)(void *arg, bool port, bool write, u64 addr, u64 value, unsigned int size);
void mem_set_unclaimed(struct mem *m, mem_unclaimed_fn fn, void *arg);

/* Checked copies to and from guest RAM for loaders, VMX structures, dumps. Writes go through
 * mem_note_write(). Return: 0, -EFAULT when any byte is not RAM (nothing was written). */
int mem_read(const struct mem *m, u64 gpa, void *buf, u64 len);
int mem_write(struct mem *m, u64 gpa, const void *buf, u64 len);

/*
 * A write reached RAM [gpa, gpa+len) by a slow path (the frame had flags) or by a device or L0.
 * Bumps code_gen when a line with code was hit, tells the trackers registered below.
 */
void mem_note_write(struct mem *m, u64 gpa, u64 len);
typedef void (*mem_tracked_fn)(void *arg, u64 gpa, u64 len);
void mem_set_tracked(struct mem *m, mem_tracked_fn fn, void *arg); /* writes to TRACKED frames */

#endif
