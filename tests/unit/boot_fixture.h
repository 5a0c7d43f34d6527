/* boot_fixture.h - images of each kind, made in memory, and a machine's memory to load them into */
#ifndef TESTS_UNIT_BOOT_FIXTURE_H
#define TESTS_UNIT_BOOT_FIXTURE_H

#include "l0/boot/boot.h"

#define BOOTFIX_RAM_BYTES (16 * MIB)
#define BOOTFIX_IMAGE_MAX 16384
#define CODE_OFFSET 4096u /* what is loaded, in the file */
#define CODE_BYTES 600u

struct boot_image {
	u8 data[BOOTFIX_IMAGE_MAX];
	u64 bytes;
};

struct boot_fixture {
	char dir[64], path[96], module[96];
	struct mem *m;
	struct boot_image im;
	struct boot_state state;
	char err[BOOT_ERR_BYTES];
	const char *append, *initrd;
	u32 entry, nmodules;
};

int bootfix_setup(void **state);
int bootfix_teardown(void **state);
#define BOOTFIX_TEST(name) cmocka_unit_test_setup_teardown(name, bootfix_setup, bootfix_teardown)

void bootfix_write(const char *path, const void *data, size_t n);

/* Load what is at f->path; what is in f->im. */
int bootfix_load(struct boot_fixture *f);
int bootfix_load_image(struct boot_fixture *f);

/* Pieces of an image: CODE_BYTES of code at CODE_OFFSET, a multiboot header, a word. */
void bootfix_put_code(struct boot_image *im);
void bootfix_put_multiboot(struct boot_image *im, u32 off, u32 flags, const u32 *addresses);
void bootfix_put32(struct boot_image *im, u32 off, u32 v);

/* Whole images. */
void bootfix_elf64(struct boot_image *im, u64 vaddr, u64 paddr, u64 entry);
void bootfix_elf32(struct boot_image *im, u32 paddr, u32 entry);
void bootfix_multiboot2(struct boot_image *im, bool addresses);
/* A kernel of boot protocol 2.15 with 1024 bytes of setup and 600 of kernel. */
void bootfix_bzimage(struct boot_image *im);
void bootfix_pvh(struct boot_image *im);

/* Words of the machine's memory. */
u32 bootfix_ram32(struct boot_fixture *f, u64 pa);
u64 bootfix_ram64(struct boot_fixture *f, u64 pa);

/* f->im does not load: @code, and one line with @text. */
void bootfix_assert_fails(struct boot_fixture *f, int code, const char *text);
/* The image's code is at @pa. */
void bootfix_assert_code(struct boot_fixture *f, u64 pa);

#endif
