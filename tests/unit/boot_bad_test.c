/* boot_bad_test.c - l0/boot: files that are not images, or damaged ones */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "l0/base/hash.h"
#include "tests/unit/boot_fixture.h"
#include "tests/unit/bus_fixture.h"

static Elf64_Ehdr *eh64(struct boot_image *im)
{
	return (Elf64_Ehdr *)im->data;
}

static Elf64_Phdr *ph64(struct boot_image *im)
{
	return (Elf64_Phdr *)(im->data + sizeof(Elf64_Ehdr));
}

static void test_bad_files(void **state)
{
	struct boot_fixture *f = *state;

	assert_int_equal(bootfix_load(f), -ENOENT);
	assert_non_null(strstr(f->err, "No such file"));
	f->im.bytes = 0;
	bootfix_assert_fails(f, -ENOEXEC, "empty");
	strcpy((char *)f->im.data, "#!/bin/sh\necho this is not an image\n");
	f->im.bytes = strlen((char *)f->im.data);
	bootfix_assert_fails(f, -ENOEXEC, "neither ELF, multiboot nor");
	memcpy(f->im.data, "\x1f\x8b\x08", 3);
	bootfix_assert_fails(f, -ENOEXEC, "gzip");
	snprintf(f->path, sizeof(f->path), "%s", f->dir);
	assert_int_equal(bootfix_load(f), -ENOEXEC);
	assert_non_null(strstr(f->err, "not a regular file"));
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
}

static void test_bad_elf(void **state)
{
	struct boot_fixture *f = *state;
	struct boot_image *im = &f->im;

#define BAD(change, code, text) \
	do { \
		bootfix_elf64(im, 0x100000, 0x100000, 0x100000); \
		change; \
		bootfix_assert_fails(f, code, text); \
	} while (0)
	BAD(eh64(im)->e_machine = EM_AARCH64, -ENOEXEC, "made for 64-bit Arm");
	BAD(eh64(im)->e_machine = 9999, -ENOEXEC, "ELF machine 9999");
	BAD(eh64(im)->e_machine = EM_386, -ENOEXEC, "not for x86");
	BAD(eh64(im)->e_ident[EI_DATA] = ELFDATA2MSB, -ENOEXEC, "not little-endian");
	BAD(eh64(im)->e_ident[EI_CLASS] = 7, -ENOEXEC, "class 7");
	BAD(eh64(im)->e_type = ET_REL, -ENOEXEC, "an object file");
	BAD(eh64(im)->e_type = ET_DYN, -ENOEXEC, "position-independent");
	BAD(eh64(im)->e_type = ET_CORE, -ENOEXEC, "not an executable");
	BAD(eh64(im)->e_phnum = 0, -ENOEXEC, "no program headers");
	BAD(eh64(im)->e_phnum = 5000, -ENOEXEC, "program headers lie beyond");
	BAD(eh64(im)->e_phoff = 1ull << 60, -ENOEXEC, "program headers lie beyond");
	BAD(eh64(im)->e_phentsize = 8, -ENOEXEC, "program headers of 8 bytes");
	BAD(eh64(im)->e_entry = 0x900000, -ENOEXEC, "entry point 0x900000 lies in no segment");
	BAD(ph64(im)->p_type = PT_NOTE, -ENOEXEC, "no loadable segment");
	BAD(ph64(im)->p_offset = 1ull << 40, -ENOEXEC, "truncated: segment 0");
	BAD(ph64(im)->p_filesz = ~0ull, -ENOEXEC, "truncated: segment 0");
	BAD(ph64(im)->p_memsz = 5, -ENOEXEC, "larger in the file");
	BAD(ph64(im)->p_memsz = 64 * MIB, -E2BIG, "(65 MiB), the machine has 0x1000000 (16 MiB)");
	BAD(ph64(im)->p_memsz = ~0ull, -ENOEXEC, "wraps around");
	BAD(ph64(im)->p_paddr = 0xd0000000, -E2BIG, "outside the machine's memory");
	BAD(ph64(im)->p_paddr = 0x9f000, -ENOEXEC, "overlaps the loader's own area");
	bootfix_elf64(im, 0x8f000, 0x8f000, 0x8f000);
	bootfix_assert_fails(f, -ENOEXEC, "overlaps the loader's own area");
#undef BAD
	bootfix_elf32(im, 0x100000, 0x100000);
	im->bytes = 20;
	bootfix_assert_fails(f, -ENOEXEC, "truncated");
}

static void test_bad_multiboot(void **state)
{
	struct boot_fixture *f = *state;
	const u32 good[5] = {0x300000, 0x300000, 0, 0, 0x300000};

	bootfix_elf32(&f->im, 0x100000, 0x100000);
	bootfix_put_multiboot(&f->im, 1024, 0x8, NULL);
	bootfix_assert_fails(f, -ENOEXEC, "requires features 0x8");
#define BAD(index, value, code, text) \
	do { \
		u32 addr[5]; \
		memset(&f->im, 0, sizeof(f->im)); \
		bootfix_put_code(&f->im); \
		memcpy(addr, good, sizeof(addr)); \
		addr[index] = (value); \
		bootfix_put_multiboot(&f->im, 0, 0x10000, addr); \
		bootfix_assert_fails(f, code, text); \
	} while (0)
	BAD(1, 0x300004, -ENOEXEC, "impossible");
	BAD(1, 0x2ffff0, -ENOEXEC, "impossible");
	BAD(2, 0x2ff000, -ENOEXEC, "ends before it starts");
	BAD(2, 0x400000, -ENOEXEC, "truncated");
	BAD(3, 0x300010, -ENOEXEC, "ends its bss before its data");
	BAD(3, 0x80000000, -E2BIG, "needs memory up to");
	BAD(4, 0x200000, -ENOEXEC, "outside the image");
#undef BAD
	memset(&f->im, 0, sizeof(f->im));
	bootfix_put_multiboot(&f->im, 0, 0, NULL);
	f->im.bytes = 5000;
	bootfix_assert_fails(f, -ENOEXEC, "without addresses");
	bootfix_put_multiboot(&f->im, 0, 0x10000, NULL);
	f->im.bytes = 20;
	bootfix_assert_fails(f, -ENOEXEC, "truncated inside its multiboot header");
}

static void test_bad_kernels(void **state)
{
	struct boot_fixture *f = *state;

#define BAD(change, code, text) \
	do { \
		bootfix_bzimage(&f->im); \
		change; \
		bootfix_assert_fails(f, code, text); \
	} while (0)
	BAD(bootfix_put32(&f->im, 0x206, 0x0205), -ENOEXEC, "boot protocol 2.05");
	BAD(f->im.data[0x211] = 0, -ENOEXEC, "zImage");
	BAD(bootfix_put32(&f->im, 0x1f4, 1000), -ENOEXEC, "truncated: the kernel has 16000 bytes");
	BAD(f->im.bytes = 0x220, -ENOEXEC, "truncated inside its setup header");
	BAD(f->im.bytes = 0x800, -ENOEXEC, "no protected-mode part");
	BAD(bootfix_put32(&f->im, 0x260, 0x4000000), -E2BIG, "give it more memory");
	bootfix_write(f->module, "ramdisk", 7);
	f->initrd = f->module;
	BAD(bootfix_put32(&f->im, 0x22c, 0x500000), -E2BIG, "do not fit between");
	f->initrd = NULL;
	f->append = "console=ttyS0";
	BAD(bootfix_put32(&f->im, 0x238, 5), -E2BIG, "this kernel takes 5");
#undef BAD
	bootfix_multiboot2(&f->im, true);
	bootfix_put32(&f->im, CODE_OFFSET + 16, 99);
	bootfix_assert_fails(f, -ENOEXEC, "requires tag 99");
	bootfix_multiboot2(&f->im, true);
	bootfix_put32(&f->im, CODE_OFFSET + 20, 4);
	bootfix_assert_fails(f, -ENOEXEC, "a tag of 4 bytes");
	bootfix_multiboot2(&f->im, true);
	bootfix_put32(&f->im, CODE_OFFSET + 16 + 16, 0x500000);
	bootfix_assert_fails(f, -ENOEXEC, "truncated");
}

static void test_long_command_line(void **state)
{
	struct boot_fixture *f = *state;
	char *s = malloc(100000);

	memset(s, 'x', 99999);
	s[99999] = 0;
	f->append = s;
	bootfix_elf32(&f->im, 0x100000, 0x100000);
	bootfix_assert_fails(f, -E2BIG, "too long");
	free(s);
}

/* An image cut at any length is an error, but where only its last section is missing. */
static void test_truncated(void **state)
{
	struct boot_fixture *f = *state;

	for (int kind = 0; kind < 2; kind++) {
		if (kind)
			bootfix_elf32(&f->im, 0x100000, 0x100000);
		else
			bootfix_elf64(&f->im, 0x100000, 0x100000, 0x100000);
		u64 bytes = f->im.bytes;

		for (u64 n = 0; n < bytes; n += n < 200 ? 1 : 97) {
			f->im.bytes = n;
			assert_true(bootfix_load_image(f) < 0);
			assert_non_null(strstr(f->err, f->path));
		}
	}
}

static void test_mutated(void **state)
{
	struct boot_fixture *f = *state;
	u64 rng = fixture_seed(0xb007);
	int rounds = getenv("NESTOR_LONG") ? 100000 : 3000;
	const u32 addr[5] = {0x300000 + 128, 0x300000, 0, 0, 0x300000};

	bootfix_write(f->module, "ramdisk", 7);
	for (int i = 0; i < rounds; i++) {
		u32 first = 0;

		switch (rng_below(&rng, 7)) {
		case 0: bootfix_elf64(&f->im, 0x100000, 0x100000, 0x100000); break;
		case 2:
			bootfix_pvh(&f->im);
			first = (u32)rng_below(&rng, 2) * 400;
			break;
		case 3:
			bootfix_bzimage(&f->im);
			first = 0x1f0;
			break;
		case 4:
			bootfix_multiboot2(&f->im, false);
			first = 200;
			break;
		case 5:
			bootfix_multiboot2(&f->im, true);
			first = CODE_OFFSET;
			break;
		case 1: bootfix_elf32(&f->im, 0x100000, 0x100000); break;
		default:
			bootfix_elf32(&f->im, 0x100000, 0x100000);
			bootfix_put_multiboot(&f->im, 128, 0x10000 * (u32)rng_below(&rng, 2), addr);
		}
		for (u64 n = rng_below(&rng, 8); n; n--)
			f->im.data[first + rng_below(&rng, 192)] = (u8)rng_next(&rng);
		if (rng_below(&rng, 4) == 0)
			f->im.bytes = rng_below(&rng, f->im.bytes);
		f->entry = rng_below(&rng, 2) ? 16u << rng_below(&rng, 3) : 0;
		f->nmodules = (u32)rng_below(&rng, 2);
		f->initrd = rng_below(&rng, 2) ? f->module : NULL;
		int ret = bootfix_load_image(f);

		assert_true(ret <= 0);
		assert_int_equal(ret < 0, f->err[0] != 0);
		assert_null(strchr(f->err, '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOOTFIX_TEST(test_bad_files),	      BOOTFIX_TEST(test_bad_elf),
		BOOTFIX_TEST(test_bad_multiboot),     BOOTFIX_TEST(test_bad_kernels),
		BOOTFIX_TEST(test_long_command_line), BOOTFIX_TEST(test_truncated),
		BOOTFIX_TEST(test_mutated),
	};

	return cmocka_run_group_tests_name("boot_bad", tests, NULL, NULL);
}
