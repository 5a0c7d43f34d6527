/* mem_test.c - l0/mem: RAM around the hole, regions, ports, unclaimed accesses, code marks */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "l0/mem/mem.h"

struct dev {
	u64 last_addr, last_value;
	unsigned int last_size;
	u32 reads, writes;
};

static u64 dev_read(void *arg, u64 off, unsigned int size)
{
	struct dev *d = arg;

	d->last_addr = off;
	d->last_size = size;
	d->reads++;
	return 0x8877665544332211ull + off;
}

static void dev_write(void *arg, u64 off, u64 value, unsigned int size)
{
	struct dev *d = arg;

	d->last_addr = off;
	d->last_value = value;
	d->last_size = size;
	d->writes++;
}

static u32 port_read(void *arg, u16 port, unsigned int size)
{
	return (u32)dev_read(arg, port, size);
}

static void port_write(void *arg, u16 port, u32 value, unsigned int size)
{
	dev_write(arg, port, value, size);
}

static const struct mmio_ops mmio = {dev_read, dev_write};
static const struct port_ops any_width = {port_read, port_write, 0};
static const struct port_ops byte_wide = {port_read, port_write, 1};
static const struct port_ops dword_too = {port_read, port_write, 1 | 4};

static u32 n_unclaimed;
static void count_unclaimed(void *arg, bool port, bool write, u64 addr, u64 value,
			    unsigned int size)
{
	n_unclaimed++;
}

static struct mem *make(u64 bytes)
{
	int err;
	struct mem *m = mem_create(bytes, &err);

	assert_non_null(m);
	n_unclaimed = 0;
	mem_set_unclaimed(m, count_unclaimed, NULL);
	return m;
}

static void test_sizes(void **state)
{
	int err = 0;

	assert_null(mem_create(0, &err));
	assert_int_equal(err, -EINVAL);
	assert_null(mem_create(4095, &err));
	assert_int_equal(err, -EINVAL);
	assert_null(mem_create(~0xfffull, &err));
	assert_int_equal(err, -EINVAL);
}

static void test_hole(void **state)
{
	struct mem *m = make(4 * GIB);
	u8 *base = mem_ram_base(m);

	assert_ptr_equal(mem_ram_hva(m, 0, 1), base);
	assert_ptr_equal(mem_ram_hva(m, MEM_HOLE_START - 1, 1), base + MEM_HOLE_START - 1);
	assert_null(mem_ram_hva(m, MEM_HOLE_START - 1, 2));
	assert_null(mem_ram_hva(m, MEM_HOLE_START, 1));
	assert_null(mem_ram_hva(m, MEM_HOLE_END - 1, 1));
	assert_ptr_equal(mem_ram_hva(m, MEM_HOLE_END, 1), base + MEM_HOLE_START);
	assert_non_null(mem_ram_hva(m, MEM_HOLE_END + GIB - 8, 8));
	assert_null(mem_ram_hva(m, MEM_HOLE_END + GIB - 8, 9));
	assert_null(mem_ram_hva(m, ~0ull, 1));
	assert_null(mem_ram_hva(m, 0x1000, ~0ull));
	assert_null(mem_frame(m, MEM_HOLE_START));
	assert_ptr_equal(mem_frame(m, MEM_HOLE_END), mem_frame(m, MEM_HOLE_START - 1) + 1);
	mem_destroy(m);
}

static void test_copies(void **state)
{
	struct mem *m = make(MIB);
	char buf[32] = "abc";

	assert_int_equal(mem_write(m, 0xffe, buf, 4), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(mem_read(m, 0xffe, buf, 4), 0);
	assert_string_equal(buf, "abc");
	assert_int_equal(mem_write(m, MIB - 2, buf, 4), -EFAULT);
	assert_int_equal(*mem_ram_hva(m, MIB - 2, 1), 0);
	assert_int_equal(mem_read(m, MIB, buf, 1), -EFAULT);
	assert_int_equal(mem_read(m, ~0ull - 1, buf, 4), -EFAULT);
	mem_destroy(m);
}

static void test_mmio(void **state)
{
	struct mem *m = make(MIB);
	struct dev a = {0}, b = {0};

	assert_int_equal(mem_add_mmio(m, "a", 0xfee00000, 0x1000, &mmio, &a), 0);
	assert_int_equal(mem_add_mmio(m, "b", 0xfec00000, 0x20, &mmio, &b), 0);
	assert_int_equal(mem_add_mmio(m, "c", 0xfee00fff, 0x1000, &mmio, &b), -EEXIST);
	assert_int_equal(mem_add_mmio(m, "c", 0xff000, 0x2000, &mmio, &b), -EEXIST);
	assert_int_equal(mem_add_mmio(m, "c", ~0ull, 2, &mmio, &b), -EINVAL);
	assert_int_equal(mem_add_mmio(m, "c", 0xd0000000, 0, &mmio, &b), -EINVAL);

	assert_string_equal(mem_mmio(m, 0xfec0001f)->name, "b");
	assert_null(mem_mmio(m, 0xfec00020));
	assert_null(mem_mmio(m, 0x1000));
	assert_int_equal(mem_mmio_read(m, 0xfee00010, 4), 0x44332221);
	assert_int_equal(a.last_addr, 0x10);
	mem_mmio_write(m, 0xfec00004, 0x1122334455667788ull, 2);
	assert_int_equal(b.last_value, 0x7788);

	/* past the end: by bytes, the rest is nobody's */
	assert_int_equal(mem_mmio_read(m, 0xfec0001e, 4), 0xffff302f);
	assert_int_equal(n_unclaimed, 2);

	assert_int_equal(mem_move_mmio(m, &a, 0xfee00000, 0xfec00000), -EEXIST);
	assert_int_equal(mem_move_mmio(m, &a, 0xfee01000, 0xd0000000), -ENOENT);
	assert_int_equal(mem_move_mmio(m, &a, 0xfee00000, 0xd0000000), 0);
	assert_null(mem_mmio(m, 0xfee00000));
	assert_string_equal(mem_mmio(m, 0xd0000fff)->name, "a");
	assert_string_equal(mem_mmio(m, 0xfec00000)->name, "b");
	mem_destroy(m);
}

static void test_unclaimed(void **state)
{
	struct mem *m = make(MIB);

	for (int i = 0; i < 3; i++) {
		assert_int_equal(mem_mmio_read(m, 0xe0000000, 4), 0xffffffff);
		mem_mmio_write(m, 0xe0000000, 1, 4);
		assert_int_equal(mem_port_read(m, 0x300, 2), 0xffff);
		mem_port_write(m, 0x300, 1, 1);
	}
	assert_int_equal(n_unclaimed, 4);
	for (u64 i = 0; i < 100000; i++)
		mem_mmio_read(m, 0xe0000000 + i * 8, 8);
	assert_true(n_unclaimed <= 4096);
	mem_destroy(m);
}

static void test_ports(void **state)
{
	struct mem *m = make(MIB);
	struct dev a = {0}, b = {0}, c = {0};

	assert_int_equal(mem_add_ports(m, "a", 0x3f8, 8, &byte_wide, &a), 0);
	assert_int_equal(mem_add_ports(m, "b", 0xcf8, 4, &any_width, &b), 0);
	assert_int_equal(mem_add_ports(m, "c", 0xf4, 1, &dword_too, &c), 0);
	assert_int_equal(mem_add_ports(m, "d", 0xcfb, 2, &any_width, &b), -EEXIST);
	assert_int_equal(mem_add_ports(m, "d", 0xffff, 2, &any_width, &b), -EINVAL);
	assert_int_equal(mem_add_ports(m, "d", 0xffff, 1, &any_width, &b), 0);

	mem_port_write(m, 0x3f8, 0x1234, 2); /* split */
	assert_int_equal(a.writes, 2);
	assert_int_equal(a.last_addr, 0x3f9);
	assert_int_equal(a.last_value, 0x12);
	mem_port_write(m, 0xcf8, 0x80000000, 4); /* whole */
	assert_int_equal(b.writes, 1);
	assert_int_equal(b.last_size, 4);
	assert_int_equal(mem_port_read(m, 0xcfa, 4) >> 16, 0xffff); /* reaches past the end */
	mem_port_write(m, 0xf4, 0x12345678, 4);			    /* claimed width */
	assert_int_equal(c.last_value, 0x12345678);
	mem_port_write(m, 0xf4, 0xab, 2); /* not claimed: byte, and nobody */
	assert_int_equal(c.last_size, 1);
	assert_int_equal(c.last_value, 0xab);
	mem_port_read(m, 0xffff, 4); /* wraps to port 0 */
	mem_destroy(m);
}

static u64 tracked_gpa, tracked_len;
static void on_tracked(void *arg, u64 gpa, u64 len)
{
	tracked_gpa = gpa;
	tracked_len += len;
}

static void test_code(void **state)
{
	struct mem *m = make(MIB);
	struct mem_frame *f = mem_frame(m, 0x5000);
	bool first;
	u32 gen = mem_mark_code(m, 0x5070, 0x20, &first);

	assert_true(first);
	assert_int_equal(f->code_lines, 3);
	assert_true(mem_frame_is_guarded(f));
	assert_int_equal(mem_mark_code(m, 0x5f80, 0x80, &first), gen);
	assert_false(first);

	mem_note_write(m, 0x5100, 8); /* beside the code */
	assert_int_equal(f->code_gen, gen);
	mem_note_write(m, 0x4ffc, 8); /* into its first line, from the page before */
	assert_int_equal(f->code_gen, gen + 1);
	assert_int_equal(f->code_lines, 0x80000002); /* the other lines are good and stay marked */
	u32 now;
	assert_false(mem_code_is_intact(mem_map(m), f, 3, gen, &now));
	assert_true(mem_code_is_intact(mem_map(m), f, 0x80000002, gen, &now));
	assert_int_equal(now, gen + 1);
	assert_true(mem_code_is_intact(mem_map(m), f, 3, now, &now));
	mem_mark_code(m, 0x5fff, 1, &first);
	assert_false(first);
	mem_note_write(m, 0x5000, 0x1000);
	assert_int_equal(f->code_gen, gen + 2);
	assert_false(mem_frame_is_guarded(f));

	/* many stores beside code: all marks go, and what runs there is looked at once more */
	gen = mem_mark_code(m, 0x5000, 1, &first);
	assert_true(first);
	for (u32 i = 0; i < 5000 && mem_frame_is_guarded(f); i++)
		mem_note_write(m, 0x5800, 1);
	assert_false(mem_frame_is_guarded(f));
	assert_false(mem_code_is_intact(mem_map(m), f, 1, gen, &now));

	mem_set_tracked(m, on_tracked, NULL);
	mem_note_write(m, 0x6000, 8);
	assert_int_equal(tracked_len, 0);
	mem_frame(m, 0x6000)->flags |= MEM_FRAME_TRACKED;
	mem_note_write(m, 0x5ff8, 16);
	assert_int_equal(tracked_gpa, 0x6000);
	assert_int_equal(tracked_len, 8);
	mem_note_write(m, ~0ull, 16);
	mem_note_write(m, 0x1000, 0);
	mem_destroy(m);
}

#define MOVES 20000u
#define MOVE_FRAMES 64u
#define MOVE_BIT 4u

struct moves {
	struct mem *m;
	_Atomic u64 from; /* the watcher's */
};

/* In bursts, some of them longer than what is remembered, each after the watcher is through. */
static void *move_code(void *arg)
{
	struct moves *mv = arg;

	for (u32 i = 0, burst = 1; i < MOVES;) {
		for (u32 end = MIN(i + burst, MOVES); i < end; i++)
			mem_code_moved(mv->m, mem_frame(mv->m, (u64)(i % MOVE_FRAMES) * PAGE_SIZE),
				       1);
		while (__atomic_load_n((u64 *)&mv->from, __ATOMIC_ACQUIRE) < i)
			sched_yield();
		burst = burst % 48 + 1;
	}
	return NULL;
}

/* Return: frames that were told of, each compared with the one that moved. */
static u32 see_moves(struct mem *m, u64 *from)
{
	struct mem_frame *f;
	u32 n = 0;

	while (mem_code_moves(m, from, &f)) {
		if (!f)
			continue; /* too many to remember */
		assert_ptr_equal(f, mem_frame(m, (*from - 1) % MOVE_FRAMES * PAGE_SIZE));
		n++;
	}
	return n;
}

/* A watcher on another thread than the one that moves code misses nothing. */
static void test_moves(void **state)
{
	struct moves mv = {.m = make(MIB)};
	_Atomic u32 attn = 0, other = 0;
	pthread_t thread;
	u64 from = 0, late = 0;
	u32 seen = 0;

	assert_int_equal(mem_watch_code(mv.m, &attn, MOVE_BIT), 0);
	assert_int_equal(mem_watch_code(mv.m, &other, MOVE_BIT), 0);
	pthread_create(&thread, NULL, move_code, &mv);
	while (from < MOVES) {
		if (!(__atomic_load_n((u32 *)&attn, __ATOMIC_RELAXED) & MOVE_BIT)) {
			sched_yield();
			continue;
		}
		__atomic_fetch_and((u32 *)&attn, ~MOVE_BIT, __ATOMIC_SEQ_CST);
		seen += see_moves(mv.m, &from);
		__atomic_store_n((u64 *)&mv.from, from, __ATOMIC_RELEASE);
	}
	pthread_join(thread, NULL);
	assert_int_equal(from, MOVES);
	assert_true(seen > MOVES / 4);
	assert_int_equal(see_moves(mv.m, &late), 0); /* all it gets to know is that it is late */
	assert_int_equal(late, MOVES);
	mem_unwatch_code(mv.m, &attn);
	mem_unwatch_code(mv.m, &other);
	mem_destroy(mv.m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	  cmocka_unit_test(test_hole),
		cmocka_unit_test(test_copies),	  cmocka_unit_test(test_mmio),
		cmocka_unit_test(test_unclaimed), cmocka_unit_test(test_ports),
		cmocka_unit_test(test_code),	  cmocka_unit_test(test_moves),
	};

	return cmocka_run_group_tests_name("mem", tests, NULL, NULL);
}
