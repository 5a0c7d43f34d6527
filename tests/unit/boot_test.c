/* boot_test.c - l0/boot: images of each kind, and files that are not images */
#include <elf.h>
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

#include "l0/arch/x86.h"
#include "l0/base/hash.h"
#include "l0/boot/boot.h"
#include "tests/unit/bus_fixture.h"

#define RAM_BYTES (16 * MIB)
#define IMAGE_MAX 16384

struct image {
	u8 data[IMAGE_MAX];
	u64 bytes;
};

struct boot_fixture {
	char dir[64], path[96], module[96];
	struct mem *m;
	struct image im;
	struct boot_state state;
	char err[BOOT_ERR_BYTES];
	const char *append, *initrd;
	u32 entry, nmodules;
};

static int setup(void **state)
{
	struct boot_fixture *f = calloc(1, sizeof(*f));
	int err;

	strcpy(f->dir, "/tmp/nestor-boot-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
	snprintf(f->module, sizeof(f->module), "%s/module", f->dir);
	f->m = mem_create(RAM_BYTES, &err);
	assert_non_null(f->m);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct boot_fixture *f = *state;

	unlink(f->path);
	unlink(f->module);
	rmdir(f->dir);
	mem_destroy(f->m);
	free(f);
	return 0;
}

static void write_file(const char *path, const void *data, size_t n)
{
	FILE *fp = fopen(path, "wb");

	assert_non_null(fp);
	assert_int_equal(fwrite(data, 1, n, fp), n);
	assert_int_equal(fclose(fp), 0);
}

static int load(struct boot_fixture *f)
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

static int load_image(struct boot_fixture *f)
{
	write_file(f->path, f->im.data, f->im.bytes);
	return load(f);
}

#define CODE_OFFSET 4096u
#define CODE_BYTES 600u

static void put_code(struct image *im)
{
	for (u32 i = 0; i < CODE_BYTES; i++)
		im->data[CODE_OFFSET + i] = (u8)(i * 13 + 1);
	im->bytes = CODE_OFFSET + CODE_BYTES;
}

static void make_elf64(struct image *im, u64 vaddr, u64 paddr, u64 entry)
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
	put_code(im);
}

static void make_elf32(struct image *im, u32 paddr, u32 entry)
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
	put_code(im);
}

static void put_multiboot(struct image *im, u32 off, u32 flags, const u32 *addresses)
{
	u32 header[8] = {0x1badb002, flags, -(0x1badb002u + flags)};

	if (addresses)
		memcpy(header + 3, addresses, 20);
	memcpy(im->data + off, header, addresses ? 32 : 12);
}

static u32 ram32(struct boot_fixture *f, u64 pa)
{
	u32 v;

	assert_int_equal(mem_read(f->m, pa, &v, 4), 0);
	return v;
}

static u64 ram64(struct boot_fixture *f, u64 pa)
{
	u64 v;

	assert_int_equal(mem_read(f->m, pa, &v, 8), 0);
	return v;
}

static void assert_fails(struct boot_fixture *f, int code, const char *text)
{
	int ret = load_image(f);

	if (ret != code || !strstr(f->err, text) || strchr(f->err, '\n'))
		fail_msg("want %d \"%s\", got %d \"%s\"", code, text, ret, f->err);
}

static void assert_code_at(struct boot_fixture *f, u64 pa)
{
	assert_memory_equal(mem_ram_hva(f->m, pa, CODE_BYTES), f->im.data + CODE_OFFSET,
			    CODE_BYTES);
}

static void test_elf64(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu;

	mem_ram_base(f->m)[0x200000 + CODE_BYTES + 5000] = 0xcc; /* .bss is cleared */
	f->append = "console=ttyS0 x";
	make_elf64(&f->im, 0x200000, 0x200000, 0x200010);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_ELF64);
	assert_code_at(f, 0x200000);
	assert_int_equal(mem_ram_base(f->m)[0x200000 + CODE_BYTES + 5000], 0);
	memset(&cpu, 0xee, sizeof(cpu));
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.rip, 0x200010);
	assert_int_equal(cpu.gpr[RSI], 0x2badb002);
	assert_int_equal(cpu.rflags, 2);
	assert_int_equal(cpu.cr0 & (CR0_PE | CR0_PG), CR0_PE | CR0_PG);
	assert_int_equal(cpu.cr4, CR4_PAE);
	assert_int_equal(cpu.efer, EFER_LME | EFER_LMA);
	assert_true(cpu.seg[SEG_CS].ar & SEG_AR_L);
	/* the hidden parts agree with the GDT */
	assert_int_equal(ram64(f, cpu.gdtr.base + cpu.seg[SEG_CS].sel), 0x00af9b000000ffff);
	assert_int_equal(ram64(f, cpu.gdtr.base + cpu.seg[SEG_DS].sel), 0x00cf93000000ffff);
	/* identity map: every 2 MiB of 4 GiB */
	for (u64 va = 0; va < 4 * GIB; va += PAGE_SIZE_2M) {
		u64 pdpt = ram64(f, cpu.cr3) & PAGE_MASK, pd = ram64(f, pdpt + (va >> 30) * 8);
		u64 pde = ram64(f, (pd & PAGE_MASK) + ((va >> 21) & 511) * 8);

		assert_int_equal(pde & ~0x60ull, va | 0x83);
	}
	u64 info = cpu.gpr[RDI];
	char want[200];

	assert_int_equal(ram32(f, info) & 0x245, 0x245);
	assert_int_equal(ram32(f, info + 4), 639);
	assert_int_equal(ram32(f, info + 8), (RAM_BYTES - MIB) / KIB);
	snprintf(want, sizeof(want), "%s console=ttyS0 x", f->path);
	assert_string_equal((char *)mem_ram_base(f->m) + ram32(f, info + 16), want);
	assert_string_equal((char *)mem_ram_base(f->m) + ram32(f, info + 64), "nestor");
	u32 length = ram32(f, info + 44), map = ram32(f, info + 48);
	u64 available = 0;

	for (u32 off = 0; off < length; off += ram32(f, map + off) + 4)
		if (ram32(f, map + off + 20) == 1)
			available += ram64(f, map + off + 12);
	assert_int_equal(available, RAM_BYTES - MIB + 0x9fc00);
}

static void test_elf64_virtual_entry(void **state)
{
	struct boot_fixture *f = *state;

	make_elf64(&f->im, 0xffffffff80100000, 0x100000, 0xffffffff80100020);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.rip, 0x100020);
	make_elf64(&f->im, 0xffffffff80100000, 0x100000, 0x100030);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.rip, 0x100030);
}

static void test_elf32(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	make_elf32(&f->im, 0x100000, 0x100004);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_ELF32);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.cr0, CR0_PE | CR0_ET);
	assert_int_equal(cpu.efer, 0);
	assert_true(cpu.seg[SEG_CS].ar & SEG_AR_DB);
	assert_int_equal(cpu.gpr[RAX], 0x2badb002);
	assert_code_at(f, 0x100000);
}

static void test_multiboot_elf(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	make_elf32(&f->im, 0x100000, 0x100040);
	put_multiboot(&f->im, CODE_OFFSET, 3, NULL);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT1);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.gpr[RAX], 0x2badb002);
	assert_int_equal(cpu.gpr[RBX], f->state.info_gpa);
	assert_int_equal(cpu.rip, 0x100040);
	/* ELF64 with a multiboot header starts in 32-bit mode too */
	make_elf64(&f->im, 0x100000, 0x100000, 0x100040);
	put_multiboot(&f->im, CODE_OFFSET, 0, NULL);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT1);
	assert_false(f->state.long_mode);
}

static void test_multiboot_addresses(void **state)
{
	struct boot_fixture *f = *state;
	u32 addr[5] = {0x300000 + 64, 0x300000, 0x300000 + CODE_BYTES, 0x310000, 0x300100};

	memset(&f->im, 0, sizeof(f->im));
	put_code(&f->im);
	put_multiboot(&f->im, CODE_OFFSET + 64, 0x10000, addr);
	assert_int_equal(load_image(f), 0);
	assert_code_at(f, 0x300000);
	assert_int_equal(f->state.rip, 0x300100);
	addr[2] = addr[3] = 0; /* all of the file, no bss */
	put_multiboot(&f->im, CODE_OFFSET + 64, 0x10000, addr);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.image_end, 0x300000 + CODE_BYTES);
}

static void put32(struct image *im, u32 off, u32 v)
{
	memcpy(im->data + off, &v, 4);
}

static void make_multiboot2(struct image *im, bool addresses)
{
	u32 at = addresses ? CODE_OFFSET : 256, bytes = addresses ? 16 + 24 + 16 + 8 : 16 + 8;
	const u32 tags[] = {2, 24, 0x400000, 0x400000, 0, 0x410000, 3, 12, 0x400010, 0, 0, 8};

	if (addresses) {
		memset(im, 0, sizeof(*im));
		put_code(im);
		memcpy(im->data + at + 16, tags, sizeof(tags));
	} else {
		make_elf64(im, 0x100000, 0x100000, 0x100040);
		put32(im, at + 16, 0);
		put32(im, at + 20, 8);
	}
	put32(im, at, 0xe85250d6);
	put32(im, at + 4, 0);
	put32(im, at + 8, bytes);
	put32(im, at + 12, -(0xe85250d6u + bytes));
}

static void test_multiboot2(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};
	u32 seen = 0;

	f->append = "a b";
	write_file(f->module, "module", 6);
	f->initrd = f->module;
	make_multiboot2(&f->im, false);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT2);
	assert_int_equal(f->state.rip, 0x100040);
	make_multiboot2(&f->im, true);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.rip, 0x400010);
	assert_code_at(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.gpr[RAX], 0x36d76289);
	assert_int_equal(cpu.gpr[RBX] & 7, 0);
	u64 info = cpu.gpr[RBX], end = info + ram32(f, info);

	for (u64 tag = info + 8; tag < end; tag += ALIGN_UP(ram32(f, tag + 4), 8u)) {
		assert_true(ram32(f, tag + 4) >= 8);
		seen |= 1u << ram32(f, tag);
		if (ram32(f, tag) == 3) {
			assert_memory_equal(mem_ram_hva(f->m, ram32(f, tag + 8), 6), "module", 6);
			assert_int_equal(ram32(f, tag + 12) - ram32(f, tag + 8), 6);
		}
	}
	assert_int_equal(seen, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15);
}

/* A kernel of boot protocol 2.15 with 1024 bytes of setup and 600 of kernel. */
static void make_bzimage(struct image *im)
{
	memset(im, 0, sizeof(*im));
	im->data[0x1f1] = 7; /* sectors: the kernel starts at CODE_OFFSET */
	put32(im, 0x1f4, (CODE_BYTES + 15) / 16);
	put32(im, 0x1fe, 0x6aebaa55); /* boot flag, jump over the header */
	put32(im, 0x202, 0x53726448);
	put32(im, 0x206, 0x020f);
	im->data[0x211] = 1;
	put32(im, 0x22c, 0x7fffffff);
	put32(im, 0x230, 0x200000);
	im->data[0x234] = 1;
	im->data[0x236] = 1;
	put32(im, 0x238, 2047);
	put32(im, 0x258, 0x400000);
	put32(im, 0x260, 0x200000);
	put_code(im);
}

static void test_bzimage(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	f->append = "console=ttyS0";
	write_file(f->module, "ramdisk", 7);
	f->initrd = f->module;
	make_bzimage(&f->im);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_BZIMAGE);
	assert_code_at(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.rip, 0x400200);
	assert_true(cpu.seg[SEG_CS].ar & SEG_AR_L);
	assert_int_equal(cpu.seg[SEG_CS].sel, 0x10);
	assert_int_equal(cpu.seg[SEG_DS].sel, 0x18);
	u64 zp = cpu.gpr[RSI];

	assert_int_equal(ram32(f, zp + 0x202), 0x53726448);
	assert_int_equal(mem_ram_base(f->m)[zp + 0x210], 0xff);
	assert_string_equal((char *)mem_ram_base(f->m) + ram32(f, zp + 0x228), "console=ttyS0");
	u32 rd = ram32(f, zp + 0x218);

	assert_int_equal(ram32(f, zp + 0x21c), 7);
	assert_int_equal(rd, RAM_BYTES - 4096);
	assert_memory_equal(mem_ram_hva(f->m, rd, 7), "ramdisk", 7);
	assert_int_equal(mem_ram_base(f->m)[zp + 0x1e8], 5);
	assert_int_equal(ram64(f, zp + 0x2d0 + 3 * 20), MIB);
	assert_memory_equal(mem_ram_hva(f->m, ram64(f, zp + 0x70), 8), "RSD PTR ", 8);
	/* without a 64-bit entry */
	f->im.data[0x236] = 0;
	assert_int_equal(load_image(f), 0);
	assert_false(f->state.long_mode);
	assert_int_equal(f->state.rip, 0x400000);
	/* less memory than its preferred address: relocated */
	put32(&f->im, 0x258, 0x4000000);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.rip, 0x200000);
}

static void make_pvh(struct image *im)
{
	Elf64_Ehdr *eh = (Elf64_Ehdr *)im->data;
	Elf64_Phdr *ph = (Elf64_Phdr *)(im->data + sizeof(*eh));
	const u32 note[] = {4, 4, 18, 0x006e6558, 0x100080};

	make_elf64(im, 0x100000, 0x100000, 0x100000);
	eh->e_phnum = 2;
	ph[1] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = 512, .p_filesz = sizeof(note)};
	memcpy(im->data + 512, note, sizeof(note));
}

static void test_pvh(void **state)
{
	struct boot_fixture *f = *state;

	make_pvh(&f->im);
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_PVH);
	assert_int_equal(f->state.rip, 0x100080);
	assert_false(f->state.long_mode);
	u64 info = f->state.rbx;

	assert_int_equal(ram32(f, info), 0x336ec578);
	assert_int_equal(ram64(f, info + 32), 0xf0000);
	assert_int_equal(ram32(f, info + 48), 5);
	assert_int_equal(ram64(f, ram64(f, info + 40) + 3 * 24), MIB);
	put32(&f->im, 512, 3); /* another name: plain ELF64 */
	assert_int_equal(load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_ELF64);
}

static void assert_sum(struct boot_fixture *f, u64 pa, u32 n)
{
	const u8 *p = mem_ram_hva(f->m, pa, n);
	u8 sum = 0;

	assert_non_null(p);
	while (n--)
		sum += *p++;
	assert_int_equal(sum, 0);
}

static void test_firmware_tables(void **state)
{
	struct boot_fixture *f = *state;
	static const char *const names[] = {"FACP", "APIC", "HPET", "MCFG"};
	struct boot_request req = {.image = f->path, .cpus.n = 3};

	make_elf32(&f->im, 0x100000, 0x100000);
	write_file(f->path, f->im.data, f->im.bytes);
	assert_int_equal(boot_load(f->m, &req, &f->state, f->err, sizeof(f->err)), 0);
	u64 rsdp = 0xf0000, xsdt = ram64(f, rsdp + 24);

	assert_sum(f, rsdp, 20);
	assert_sum(f, rsdp, 36);
	assert_sum(f, xsdt, ram32(f, xsdt + 4));
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		u64 t = ram64(f, xsdt + 36 + 8 * i);

		assert_memory_equal(mem_ram_hva(f->m, t, 4), names[i], 4);
		assert_sum(f, t, ram32(f, t + 4));
	}
	u64 dsdt = ram32(f, ram64(f, xsdt + 36) + 40), madt = ram64(f, xsdt + 44);
	u32 lapics = 0;

	assert_memory_equal(mem_ram_hva(f->m, dsdt, 4), "DSDT", 4);
	assert_sum(f, dsdt, ram32(f, dsdt + 4));
	for (u64 e = madt + 44; e < madt + ram32(f, madt + 4); e += mem_ram_base(f->m)[e + 1]) {
		assert_true(mem_ram_base(f->m)[e + 1] >= 6);
		lapics += mem_ram_base(f->m)[e] == 0;
	}
	assert_int_equal(lapics, 3);
	for (u64 p = 0xf0000;; p += 16) {
		assert_true(p < 0x100000);
		if (ram32(f, p) != 0x5f504d5f)
			continue;
		assert_sum(f, p, 16);
		assert_sum(f, ram32(f, p + 4), ram32(f, ram32(f, p + 4) + 4) & 0xffff);
		break;
	}
}

static void test_bad_kernels(void **state)
{
	struct boot_fixture *f = *state;

#define BAD(change, code, text) \
	do { \
		make_bzimage(&f->im); \
		change; \
		assert_fails(f, code, text); \
	} while (0)
	BAD(put32(&f->im, 0x206, 0x0205), -ENOEXEC, "boot protocol 2.05");
	BAD(f->im.data[0x211] = 0, -ENOEXEC, "zImage");
	BAD(put32(&f->im, 0x1f4, 1000), -ENOEXEC, "truncated: the kernel has 16000 bytes");
	BAD(f->im.bytes = 0x220, -ENOEXEC, "truncated inside its setup header");
	BAD(f->im.bytes = 0x800, -ENOEXEC, "no protected-mode part");
	BAD(put32(&f->im, 0x260, 0x4000000), -E2BIG, "give it more memory");
	write_file(f->module, "ramdisk", 7);
	f->initrd = f->module;
	BAD(put32(&f->im, 0x22c, 0x500000), -E2BIG, "do not fit between");
	f->initrd = NULL;
	f->append = "console=ttyS0";
	BAD(put32(&f->im, 0x238, 5), -E2BIG, "this kernel takes 5");
#undef BAD
	make_multiboot2(&f->im, true);
	put32(&f->im, CODE_OFFSET + 16, 99);
	assert_fails(f, -ENOEXEC, "requires tag 99");
	make_multiboot2(&f->im, true);
	put32(&f->im, CODE_OFFSET + 20, 4);
	assert_fails(f, -ENOEXEC, "a tag of 4 bytes");
	make_multiboot2(&f->im, true);
	put32(&f->im, CODE_OFFSET + 16 + 16, 0x500000);
	assert_fails(f, -ENOEXEC, "truncated");
}

static void test_modules(void **state)
{
	struct boot_fixture *f = *state;
	char data[5000];

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 3);
	write_file(f->module, data, sizeof(data));
	f->initrd = f->module;
	make_elf32(&f->im, 0x100000, 0x100000);
	assert_int_equal(load_image(f), 0);
	u64 info = f->state.info_gpa;

	assert_int_equal(ram32(f, info) & 8, 8);
	assert_int_equal(ram32(f, info + 20), 1);
	u32 mods = ram32(f, info + 24), start = ram32(f, mods), end = ram32(f, mods + 4);

	assert_int_equal(start & 0xfff, 0);
	assert_true(start >= 0x100000 + CODE_BYTES);
	assert_int_equal(end - start, sizeof(data));
	assert_memory_equal(mem_ram_hva(f->m, start, sizeof(data)), data, sizeof(data));
	assert_string_equal((char *)mem_ram_base(f->m) + ram32(f, mods + 8), f->module);
	f->initrd = "/nonexistent/initrd";
	assert_int_equal(load(f), -ENOENT);
	assert_non_null(strstr(f->err, "/nonexistent/initrd: "));
}

static Elf64_Ehdr *eh64(struct image *im)
{
	return (Elf64_Ehdr *)im->data;
}

static Elf64_Phdr *ph64(struct image *im)
{
	return (Elf64_Phdr *)(im->data + sizeof(Elf64_Ehdr));
}

static void test_bad_files(void **state)
{
	struct boot_fixture *f = *state;

	assert_int_equal(load(f), -ENOENT);
	assert_non_null(strstr(f->err, "No such file"));
	f->im.bytes = 0;
	assert_fails(f, -ENOEXEC, "empty");
	strcpy((char *)f->im.data, "#!/bin/sh\necho this is not an image\n");
	f->im.bytes = strlen((char *)f->im.data);
	assert_fails(f, -ENOEXEC, "neither ELF, multiboot nor");
	memcpy(f->im.data, "\x1f\x8b\x08", 3);
	assert_fails(f, -ENOEXEC, "gzip");
	snprintf(f->path, sizeof(f->path), "%s", f->dir);
	assert_int_equal(load(f), -ENOEXEC);
	assert_non_null(strstr(f->err, "not a regular file"));
	snprintf(f->path, sizeof(f->path), "%s/image", f->dir);
}

static void test_bad_elf(void **state)
{
	struct boot_fixture *f = *state;
	struct image *im = &f->im;

#define BAD(change, code, text) \
	do { \
		make_elf64(im, 0x100000, 0x100000, 0x100000); \
		change; \
		assert_fails(f, code, text); \
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
	make_elf64(im, 0x8f000, 0x8f000, 0x8f000);
	assert_fails(f, -ENOEXEC, "overlaps the loader's own area");
#undef BAD
	make_elf32(im, 0x100000, 0x100000);
	im->bytes = 20;
	assert_fails(f, -ENOEXEC, "truncated");
}

static void test_bad_multiboot(void **state)
{
	struct boot_fixture *f = *state;
	const u32 good[5] = {0x300000, 0x300000, 0, 0, 0x300000};

	make_elf32(&f->im, 0x100000, 0x100000);
	put_multiboot(&f->im, 1024, 0x8, NULL);
	assert_fails(f, -ENOEXEC, "requires features 0x8");
#define BAD(index, value, code, text) \
	do { \
		u32 addr[5]; \
		memset(&f->im, 0, sizeof(f->im)); \
		put_code(&f->im); \
		memcpy(addr, good, sizeof(addr)); \
		addr[index] = (value); \
		put_multiboot(&f->im, 0, 0x10000, addr); \
		assert_fails(f, code, text); \
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
	put_multiboot(&f->im, 0, 0, NULL);
	f->im.bytes = 5000;
	assert_fails(f, -ENOEXEC, "without addresses");
	put_multiboot(&f->im, 0, 0x10000, NULL);
	f->im.bytes = 20;
	assert_fails(f, -ENOEXEC, "truncated inside its multiboot header");
}

static void test_long_command_line(void **state)
{
	struct boot_fixture *f = *state;
	char *s = malloc(100000);

	memset(s, 'x', 99999);
	s[99999] = 0;
	f->append = s;
	make_elf32(&f->im, 0x100000, 0x100000);
	assert_fails(f, -E2BIG, "too long");
	free(s);
}

/* An image cut at any length is an error, but where only its last section is missing. */
static void test_truncated(void **state)
{
	struct boot_fixture *f = *state;

	for (int kind = 0; kind < 2; kind++) {
		if (kind)
			make_elf32(&f->im, 0x100000, 0x100000);
		else
			make_elf64(&f->im, 0x100000, 0x100000, 0x100000);
		u64 bytes = f->im.bytes;

		for (u64 n = 0; n < bytes; n += n < 200 ? 1 : 97) {
			f->im.bytes = n;
			assert_true(load_image(f) < 0);
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

	write_file(f->module, "ramdisk", 7);
	for (int i = 0; i < rounds; i++) {
		u32 first = 0;

		switch (rng_below(&rng, 7)) {
		case 0: make_elf64(&f->im, 0x100000, 0x100000, 0x100000); break;
		case 2:
			make_pvh(&f->im);
			first = (u32)rng_below(&rng, 2) * 400;
			break;
		case 3:
			make_bzimage(&f->im);
			first = 0x1f0;
			break;
		case 4:
			make_multiboot2(&f->im, false);
			first = 200;
			break;
		case 5:
			make_multiboot2(&f->im, true);
			first = CODE_OFFSET;
			break;
		case 1: make_elf32(&f->im, 0x100000, 0x100000); break;
		default:
			make_elf32(&f->im, 0x100000, 0x100000);
			put_multiboot(&f->im, 128, 0x10000 * (u32)rng_below(&rng, 2), addr);
		}
		for (u64 n = rng_below(&rng, 8); n; n--)
			f->im.data[first + rng_below(&rng, 192)] = (u8)rng_next(&rng);
		if (rng_below(&rng, 4) == 0)
			f->im.bytes = rng_below(&rng, f->im.bytes);
		f->entry = rng_below(&rng, 2) ? 16u << rng_below(&rng, 3) : 0;
		f->nmodules = (u32)rng_below(&rng, 2);
		f->initrd = rng_below(&rng, 2) ? f->module : NULL;
		int ret = load_image(f);

		assert_true(ret <= 0);
		assert_int_equal(ret < 0, f->err[0] != 0);
		assert_null(strchr(f->err, '\n'));
	}
}

/* The 16-bit entry: the setup code and its BIOS, not the zero page. */
static void test_real_mode(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {.cr0 = 0x60000010};

	f->append = "console=ttyS0";
	f->entry = 16;
	write_file(f->module, "ramdisk", 7);
	f->initrd = f->module;
	make_bzimage(&f->im);
	assert_int_equal(load_image(f), 0);
	assert_true(f->state.real_mode);
	assert_code_at(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.cr0, 0x60000010);
	assert_int_equal(cpu.rip, 0);
	assert_int_equal(cpu.seg[SEG_CS].sel, 0x1020);
	assert_int_equal(cpu.seg[SEG_CS].base, 0x10200);
	assert_int_equal(cpu.seg[SEG_SS].base, 0x10000);
	assert_int_equal(cpu.seg[SEG_DS].sel, 0x1000);
	assert_int_equal(cpu.gpr[RSP], 0xe000);
	assert_int_equal(ram32(f, 0x10202), 0x53726448);
	assert_int_equal(ram32(f, 0x10224) & 0xffff, 0xde00);
	assert_int_equal(ram32(f, 0x10214), 0x400000);
	assert_int_equal(mem_ram_base(f->m)[0x10211] & 0x80, 0x80);
	assert_string_equal((char *)mem_ram_base(f->m) + ram32(f, 0x10228), "console=ttyS0");
	assert_memory_equal(mem_ram_hva(f->m, ram32(f, 0x10218), 7), "ramdisk", 7);
	/* every vector leads into the BIOS, whose first word is the number of ranges */
	u32 bios = (ram32(f, 0) >> 16) << 4;

	for (u32 i = 1; i < 256; i++)
		assert_int_equal(ram32(f, 4 * i) >> 16, bios >> 4);
	assert_int_equal(ram32(f, bios) & 0xffff, 5);
	f->im.data[0x1f1] = 200;
	f->im.data[0x1f4] = 0;
	assert_int_not_equal(load_image(f), 0);
	f->entry = 64;
	make_bzimage(&f->im);
	f->im.data[0x236] = 0;
	assert_fails(f, -ENOEXEC, "no 64-bit entry");
	f->nmodules = 1;
	f->entry = 0;
	assert_fails(f, -ENOEXEC, "takes no modules");
	f->nmodules = 0;
	f->entry = 16;
	make_elf64(&f->im, 0x100000, 0x100000, 0x100000);
	assert_fails(f, -ENOEXEC, "cannot be chosen");
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_elf64),
		T(test_elf64_virtual_entry),
		T(test_elf32),
		T(test_multiboot_elf),
		T(test_multiboot_addresses),
		T(test_modules),
		T(test_bad_files),
		T(test_bad_elf),
		T(test_bad_multiboot),
		T(test_long_command_line),
		T(test_truncated),
		T(test_mutated),
		T(test_real_mode),
		T(test_multiboot2),
		T(test_bzimage),
		T(test_pvh),
		T(test_firmware_tables),
		T(test_bad_kernels),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
