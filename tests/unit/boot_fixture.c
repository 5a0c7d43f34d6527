#include "tests/unit/boot_fixture.h"

#include <elf.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

int bootfix_setup(void **state)
{
	struct boot_fixture *f = calloc(1, sizeof(*f));
	int err;

	strcpy(f->dir, "/tmp/nestor-boot-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	snprintf(f->module, sizeof(f->module), "%s/module", f->dir);
	f->m = mem_create(BOOTFIX_RAM_BYTES, &err);
	assert_non_null(f->m);
	*state = f;
	return 0;
}

int bootfix_teardown(void **state)
{
	struct boot_fixture *f = *state;

	unlink(f->path);
	unlink(f->module);
	rmdir(f->dir);
	mem_destroy(f->m);
	free(f);
	return 0;
}

void bootfix_write(const char *path, const void *data, size_t n)
{
	FILE *fp = fopen(path, "wb");

	assert_non_null(fp);
	assert_int_equal(fwrite(data, 1, n, fp), n);
	assert_int_equal(fclose(fp), 0);
}

int bootfix_load(struct boot_fixture *f)
{
	const struct boot_module modules[] = {{.path = f->module, .args = "a b"}};
	const struct boot_request req = {
		.image = f->path,
		.append = f->append,
		.initrd = f->initrd,
		.modules = modules,
		.nmodules = f->nmodules,
		.entry = f->entry,
	};

	return boot_load(f->m, &req, &f->state, f->err, sizeof(f->err));
}

int bootfix_load_image(struct boot_fixture *f)
{
	bootfix_write(f->path, f->im.data, f->im.bytes);
	return bootfix_load(f);
}

void bootfix_put_code(struct boot_image *im)
{
	for (u32 i = 0; i < CODE_BYTES; i++)
		im->data[CODE_OFFSET + i] = (u8)(i * 13 + 1);
	im->bytes = CODE_OFFSET + CODE_BYTES;
}

void bootfix_put_multiboot(struct boot_image *im, u32 off, u32 flags, const u32 *addresses)
{
	u32 header[8] = {0x1badb002, flags, -(0x1badb002u + flags)};

	if (addresses)
		memcpy(header + 3, addresses, 20);
	memcpy(im->data + off, header, addresses ? 32 : 12);
}

void bootfix_put32(struct boot_image *im, u32 off, u32 v)
{
	memcpy(im->data + off, &v, 4);
}

void bootfix_elf64(struct boot_image *im, u64 vaddr, u64 paddr, u64 entry)
{
	Elf64_Ehdr eh = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
	};
	Elf64_Phdr ph = {
		.p_type = PT_LOAD,
		.p_flags = 7,
		.p_offset = CODE_OFFSET,
		.p_vaddr = vaddr,
		.p_paddr = paddr,
		.p_filesz = CODE_BYTES,
		.p_memsz = CODE_BYTES + 10000,
		.p_align = 4096,
	};

	memset(im, 0, sizeof(*im));
	memcpy(im->data, &eh, sizeof(eh));
	memcpy(im->data + sizeof(eh), &ph, sizeof(ph));
	bootfix_put_code(im);
}

void bootfix_elf32(struct boot_image *im, u32 paddr, u32 entry)
{
	Elf32_Ehdr eh = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_EXEC,
		.e_machine = EM_386,
		.e_version = EV_CURRENT,
		.e_entry = entry,
		.e_phoff = sizeof(eh),
		.e_ehsize = sizeof(eh),
		.e_phentsize = sizeof(Elf32_Phdr),
		.e_phnum = 1,
	};
	Elf32_Phdr ph = {
		.p_type = PT_LOAD,
		.p_flags = 7,
		.p_offset = CODE_OFFSET,
		.p_vaddr = paddr,
		.p_paddr = paddr,
		.p_filesz = CODE_BYTES,
		.p_memsz = CODE_BYTES,
		.p_align = 4096,
	};

	memset(im, 0, sizeof(*im));
	memcpy(im->data, &eh, sizeof(eh));
	memcpy(im->data + sizeof(eh), &ph, sizeof(ph));
	bootfix_put_code(im);
}

void bootfix_multiboot2(struct boot_image *im, bool addresses)
{
	u32 at = addresses ? CODE_OFFSET : 256, bytes = addresses ? 16 + 24 + 16 + 8 : 16 + 8;
	const u32 tags[] = {2, 24, 0x400000, 0x400000, 0, 0x410000, 3, 12, 0x400010, 0, 0, 8};

	if (addresses) {
		memset(im, 0, sizeof(*im));
		bootfix_put_code(im);
		memcpy(im->data + at + 16, tags, sizeof(tags));
	} else {
		bootfix_elf64(im, 0x100000, 0x100000, 0x100040);
		bootfix_put32(im, at + 16, 0);
		bootfix_put32(im, at + 20, 8);
	}
	bootfix_put32(im, at, 0xe85250d6);
	bootfix_put32(im, at + 4, 0);
	bootfix_put32(im, at + 8, bytes);
	bootfix_put32(im, at + 12, -(0xe85250d6u + bytes));
}

void bootfix_bzimage(struct boot_image *im)
{
	memset(im, 0, sizeof(*im));
	im->data[0x1f1] = 7; /* sectors: the kernel starts at CODE_OFFSET */
	bootfix_put32(im, 0x1f4, (CODE_BYTES + 15) / 16);
	bootfix_put32(im, 0x1fe, 0x6aebaa55); /* boot flag, jump over the header */
	bootfix_put32(im, 0x202, 0x53726448);
	bootfix_put32(im, 0x206, 0x020f);
	im->data[0x211] = 1;
	bootfix_put32(im, 0x22c, 0x7fffffff);
	bootfix_put32(im, 0x230, 0x200000);
	im->data[0x234] = 1;
	im->data[0x236] = 1;
	bootfix_put32(im, 0x238, 2047);
	bootfix_put32(im, 0x258, 0x400000);
	bootfix_put32(im, 0x260, 0x200000);
	bootfix_put_code(im);
}

void bootfix_pvh(struct boot_image *im)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)im->data;
	Elf64_Phdr *ph = (Elf64_Phdr *)(im->data + sizeof(*eh));
	const u32 note[] = {4, 4, 18, 0x006e6558, 0x100080};

	bootfix_elf64(im, 0x100000, 0x100000, 0x100000);
	eh->e_phnum = 2;
	ph[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 512, .p_filesz = sizeof(note)};
	memcpy(im->data + 512, note, sizeof(note));
}

u32 bootfix_ram32(struct boot_fixture *f, u64 pa)
{
	u32 v;

	assert_int_equal(mem_read(f->m, pa, &v, 4), 0);
	return v;
}

u64 bootfix_ram64(struct boot_fixture *f, u64 pa)
{
	u64 v;

	assert_int_equal(mem_read(f->m, pa, &v, 8), 0);
	return v;
}

void bootfix_assert_fails(struct boot_fixture *f, int code, const char *text)
{
	int ret = bootfix_load_image(f);

	if (ret != code || !strstr(f->err, text) || strchr(f->err, '\n'))
		fail_msg("want %d \"%s\", got %d \"%s\"", code, text, ret, f->err);
}

void bootfix_assert_code(struct boot_fixture *f, u64 pa)
{
	assert_memory_equal(mem_ram_hva(f->m, pa, CODE_BYTES), f->im.data + CODE_OFFSET,
			    CODE_BYTES);
}
