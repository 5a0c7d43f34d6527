/* base_test.c - l0/base: bits, lists, arena, copies without vector registers, hash, log mask */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "l0/base/arena.h"
#include "l0/base/bits.h"
#include "l0/base/hash.h"
#include "l0/base/list.h"
#include "l0/base/log.h"
#include "l0/base/mem_ops.h"
#include "l0/base/vecguard.h"

static void test_bits(void **state)
{
	assert_int_equal(GENMASK(63, 0), ~0ull);
	assert_int_equal(GENMASK(11, 4), 0xff0);
	assert_int_equal(mask_low(0), 0);
	assert_int_equal(mask_low(64), ~0ull);
	assert_int_equal(bits_get(0x12345678, 15, 8), 0x56);
	assert_int_equal(bits_set(0xffffffff, 15, 8, 0), 0xffff00ff);
	assert_int_equal(field_get(0xff00, 0x1234), 0x12);
	assert_int_equal(field_set(0xff00, 0x1234, 0xab), 0xab34);
	assert_int_equal(sign_extend(0x80, 8), -128);
	assert_int_equal(sign_extend(0x7f, 8), 127);
	assert_int_equal(sign_extend(~0ull, 64), -1);
	assert_true(is_canonical(0xffff800000000000ull, 48));
	assert_false(is_canonical(0x0000800000000000ull, 48));
	assert_true(is_canonical(0x0000800000000000ull, 57));
	assert_int_equal(ALIGN_UP(4097ull, PAGE_SIZE), 8192);
	assert_int_equal(bit_highest(1), 0);
	assert_int_equal(bit_highest(~0ull), 63);
	assert_int_equal(bit_count(0xf0f0), 8);
}

struct item {
	int v;
	struct list_node link;
};

static void test_list(void **state)
{
	struct list_node head = LIST_INIT(head);
	struct item items[4], *it, *tmp;
	int want = 0;

	assert_null(list_first(&head, struct item, link));
	for (int i = 0; i < 4; i++) {
		items[i].v = i;
		list_add_tail(&head, &items[i].link);
	}
	list_for_each (it, &head, link)
		assert_int_equal(it->v, want++);
	list_for_each_safe (it, tmp, &head, link)
		if (it->v & 1)
			list_del(&it->link);
	assert_int_equal(list_count(&head), 2);
	list_del(&items[1].link); /* on no list: harmless */
	list_move(&head, &items[2].link);
	assert_int_equal(list_first(&head, struct item, link)->v, 2);
	assert_int_equal(list_last(&head, struct item, link)->v, 0);
}

static void test_arena(void **state)
{
	struct arena a;

	arena_init(&a, 128, 4096);
	for (int i = 0; i < 20; i++) {
		u64 *p = arena_alloc(&a, 40, 64);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 64, 0);
		assert_int_equal(p[4], 0);
		p[4] = 1;
	}
	assert_non_null(arena_alloc(&a, 1000, 8));
	assert_null(arena_alloc(&a, 4000, 8));
	assert_null(arena_alloc_array(&a, SIZE_MAX / 2, 8, 8));
	assert_string_equal(arena_strdup(&a, "abc"), "abc");
	arena_fini(&a);
	assert_non_null(arena_alloc(&a, 4000, 8));
	arena_fini(&a);
}

static void test_copy_sizes(void **state)
{
	u8 src[1024], want[1100], got[1100];
	u64 rng = 1;

	for (size_t i = 0; i < sizeof(src); i++)
		src[i] = (u8)rng_next(&rng);
	for (size_t n = 0; n <= 600; n++) {
		for (size_t off = 0; off < 9; off += 4) {
			memset(want, 0xee, sizeof(want));
			memset(got, 0xee, sizeof(got));
			memcpy(want + off, src + 3, n);
			nm_copy(got + off, src + 3, n);
			assert_memory_equal(want, got, sizeof(want));
			memset(want + off, 0x5a, n);
			nm_set(got + off, 0x5a, n);
			assert_memory_equal(want, got, sizeof(want));
		}
	}
}

static void test_move_overlap(void **state)
{
	u8 want[512], got[512];

	for (size_t n = 0; n < 300; n += 3)
		for (int delta = -20; delta <= 20; delta++) {
			for (size_t i = 0; i < sizeof(want); i++)
				want[i] = got[i] = (u8)i;
			memmove(want + 100 + delta, want + 100, n);
			nm_move(got + 100 + delta, got + 100, n);
			assert_memory_equal(want, got, sizeof(want));
		}
}

static int sign(int x)
{
	return (x > 0) - (x < 0);
}

static void test_compare(void **state)
{
	u64 rng = 2;

	for (int i = 0; i < 20000; i++) {
		u8 a[40], b[40];
		size_t n = rng_below(&rng, 41);

		for (size_t k = 0; k < n; k++)
			a[k] = b[k] = (u8)rng_next(&rng);
		if (n && (rng_next(&rng) & 1))
			b[rng_below(&rng, n)] = (u8)rng_next(&rng);
		assert_int_equal(sign(nm_cmp(a, b, n)), sign(memcmp(a, b, n)));
	}
}

static void test_log_mask(void **state)
{
	assert_null(log_set_mask("vtlb,exit"));
	assert_int_equal(log_mask, BIT(LOG_VTLB) | BIT(LOG_EXIT));
	assert_string_equal(log_set_mask("vtlb,nosuch"), "nosuch");
	assert_null(log_set_mask(NULL));
	assert_int_equal(log_mask, 0);
}

static void test_vecguard(void **state)
{
	struct vecguard g;
	u64 in = 0x1122334455667788ull, out = 0;

	/* libc between save and restore may do as it likes with xmm5 */
	__asm__ volatile("movq %0, %%xmm5" : : "r"(in) : "xmm5");
	vecguard_save(&g);
	__asm__ volatile("pxor %%xmm5, %%xmm5" ::: "xmm5");
	vecguard_restore(&g);
	__asm__ volatile("movq %%xmm5, %0" : "=r"(out));
	assert_int_equal(in, out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bits),	     cmocka_unit_test(test_list),
		cmocka_unit_test(test_arena),	     cmocka_unit_test(test_copy_sizes),
		cmocka_unit_test(test_move_overlap), cmocka_unit_test(test_compare),
		cmocka_unit_test(test_log_mask),     cmocka_unit_test(test_vecguard),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
