/* Symbol files: System.map and ELF, names, slides, bad ones. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include "l0/symbols/symbols.h"

static char path[64];

static const char *file_with(const char *text)
{
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "/tmp/nestor-symbols-XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	fputs(text, f);
	fclose(f);
	return path;
}

static const char map[] = "ffffffff81000000 T _text\n"
			  "ffffffff81000040 t local_one\n"
			  "ffffffff81000040 T also_one\n"
			  "ffffffff81c00000 T entry_SYSCALL_64\n"
			  "ffffffff82000000 D some_data\n";

static struct symbols *load(const char *spec)
{
	struct symbols *s;
	char why[640] = "";

	if (symbols_load(spec, &s, why, sizeof(why)))
		fail_msg("%s", why);
	return s;
}

static void expect_name(const struct symbols *s, u64 address, const char *want)
{
	char buf[SYMBOLS_NAME_BYTES];
	const char *got = symbols_name(s, address, buf);

	if (!want)
		assert_null(got);
	else
		assert_string_equal(got, want);
}

static void test_map(void **state)
{
	struct symbols *s = load(file_with(map));
	u64 address;

	expect_name(s, 0xffffffff81000000, "_text");
	expect_name(s, 0xffffffff8100003f, "_text+0x3f");
	expect_name(s, 0xffffffff81000041, "local_one+0x1");
	expect_name(s, 0xffffffff80ffffff, NULL);
	expect_name(s, 0xffffffff81c00000 + (2 << 20), NULL); /* data, or far away */
	expect_name(s, 0, NULL);
	assert_true(symbols_address(s, "also_one", &address));
	assert_int_equal(address, 0xffffffff81000040);
	assert_false(symbols_address(s, "some_data", &address));
	symbols_free(s);
	unlink(path);
}

static void test_slides(void **state)
{
	char spec[128];
	struct symbols *s = load(file_with(map));

	symbols_find_slide(s, 0);
	assert_int_equal(symbols_slide(s), 0);
	symbols_find_slide(s, 0xffffffff81c00123); /* another system's entry */
	assert_int_equal(symbols_slide(s), 0);
	symbols_find_slide(s, 0xffffffff81c00000 + 0x16600000);
	assert_int_equal(symbols_slide(s), 0x16600000);
	expect_name(s, 0xffffffff97600040, "local_one");
	symbols_free(s);
	/* one that is given stays */
	snprintf(spec, sizeof(spec), "%s@0x200000", path);
	s = load(spec);
	symbols_find_slide(s, 0xffffffff81c00000 + 0x16600000);
	assert_int_equal(symbols_slide(s), 0x200000);
	expect_name(s, 0xffffffff81200000, "_text");
	assert_string_equal(symbols_path(s), path);
	symbols_free(s);
	unlink(path);
}

/* This very program, which is an ELF file with symbols. */
static void test_elf(void **state)
{
	struct symbols *s = load("/proc/self/exe");
	u64 address;

	assert_true(symbols_address(s, "test_elf", &address));
	assert_int_equal(address, (uintptr_t)test_elf); /* -no-pie */
	expect_name(s, address, "test_elf");
	expect_name(s, address + 4, "test_elf+0x4");
	symbols_free(s);
}

static void expect_refused(const char *spec, const char *reason)
{
	struct symbols *s;
	char why[640] = "";

	assert_true(symbols_load(spec, &s, why, sizeof(why)) < 0);
	assert_null(s);
	if (!strstr(why, reason))
		fail_msg("'%s' is no '%s'", why, reason);
}

static void test_bad_files(void **state)
{
	expect_refused("/no/such/file", "No such file");
	expect_refused("/tmp", "Is a directory");
	expect_refused(file_with("hello, world\n"), "neither an ELF file nor a System.map");
	unlink(path);
	expect_refused(file_with("ffffffff82000000 D some_data\n"), "no symbols of code");
	unlink(path);
	expect_refused(file_with(""), "no symbols of code");
	unlink(path);
	expect_refused(file_with("\177ELF\002\001\001 and then nothing of use"), path);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_slides),
		cmocka_unit_test(test_elf),
		cmocka_unit_test(test_bad_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
