/* boot_test.c - l0/boot: images of each kind; boot_bad_test.c has files that are not images */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "l0/arch/x86.h"
#include "tests/unit/boot_fixture.h"

static void test_elf64(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu;

	mem_ram_base(f->m)[0x200000 + CODE_BYTES + 5000] = 0xcc; /* .bss is cleared */
	f->append = "console=ttyS0 x";
	bootfix_elf64(&f->im, 0x200000, 0x200000, 0x200010);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_ELF64);
	bootfix_assert_code(f, 0x200000);
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
	assert_int_equal(bootfix_ram64(f, cpu.gdtr.base + cpu.seg[SEG_CS].sel), 0x00af9b000000ffff);
	assert_int_equal(bootfix_ram64(f, cpu.gdtr.base + cpu.seg[SEG_DS].sel), 0x00cf93000000ffff);
	/* identity map: every 2 MiB of 4 GiB */
	for (u64 va = 0; va < 4 * GIB; va += PAGE_SIZE_2M) {
		u64 pdpt = bootfix_ram64(f, cpu.cr3) & PAGE_MASK,
		    pd = bootfix_ram64(f, pdpt + (va >> 30) * 8);
		u64 pde = bootfix_ram64(f, (pd & PAGE_MASK) + ((va >> 21) & 511) * 8);

		assert_int_equal(pde & ~0x60ull, va | 0x83);
	}
	u64 info = cpu.gpr[RDI];
	char want[200];

	assert_int_equal(bootfix_ram32(f, info) & 0x245, 0x245);
	assert_int_equal(bootfix_ram32(f, info + 4), 639);
	assert_int_equal(bootfix_ram32(f, info + 8), (BOOTFIX_RAM_BYTES - MIB) / KIB);
	snprintf(want, sizeof(want), "%s console=ttyS0 x", f->path);
	assert_string_equal((char *)mem_ram_base(f->m) + bootfix_ram32(f, info + 16), want);
	assert_string_equal((char *)mem_ram_base(f->m) + bootfix_ram32(f, info + 64), "nestor");
	u32 length = bootfix_ram32(f, info + 44), map = bootfix_ram32(f, info + 48);
	u64 available = 0;

	for (u32 off = 0; off < length; off += bootfix_ram32(f, map + off) + 4)
		if (bootfix_ram32(f, map + off + 20) == 1)
			available += bootfix_ram64(f, map + off + 12);
	assert_int_equal(available, BOOTFIX_RAM_BYTES - MIB + 0x9fc00);
}

static void test_elf64_virtual_entry(void **state)
{
	struct boot_fixture *f = *state;

	bootfix_elf64(&f->im, 0xffffffff80100000, 0x100000, 0xffffffff80100020);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.rip, 0x100020);
	bootfix_elf64(&f->im, 0xffffffff80100000, 0x100000, 0x100030);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.rip, 0x100030);
}

static void test_elf32(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	bootfix_elf32(&f->im, 0x100000, 0x100004);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_ELF32);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.cr0, CR0_PE | CR0_ET);
	assert_int_equal(cpu.efer, 0);
	assert_true(cpu.seg[SEG_CS].ar & SEG_AR_DB);
	assert_int_equal(cpu.gpr[RAX], 0x2badb002);
	bootfix_assert_code(f, 0x100000);
}

static void test_multiboot_elf(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	bootfix_elf32(&f->im, 0x100000, 0x100040);
	bootfix_put_multiboot(&f->im, CODE_OFFSET, 3, NULL);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT1);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.gpr[RAX], 0x2badb002);
	assert_int_equal(cpu.gpr[RBX], f->state.info_gpa);
	assert_int_equal(cpu.rip, 0x100040);
	/* ELF64 with a multiboot header starts in 32-bit mode too */
	bootfix_elf64(&f->im, 0x100000, 0x100000, 0x100040);
	bootfix_put_multiboot(&f->im, CODE_OFFSET, 0, NULL);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT1);
	assert_false(f->state.long_mode);
}

static void test_multiboot_addresses(void **state)
{
	struct boot_fixture *f = *state;
	u32 addr[5] = {0x300000 + 64, 0x300000, 0x300000 + CODE_BYTES, 0x310000, 0x300100};

	memset(&f->im, 0, sizeof(f->im));
	bootfix_put_code(&f->im);
	bootfix_put_multiboot(&f->im, CODE_OFFSET + 64, 0x10000, addr);
	assert_int_equal(bootfix_load_image(f), 0);
	bootfix_assert_code(f, 0x300000);
	assert_int_equal(f->state.rip, 0x300100);
	addr[2] = addr[3] = 0; /* all of the file, no bss */
	bootfix_put_multiboot(&f->im, CODE_OFFSET + 64, 0x10000, addr);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.image_end, 0x300000 + CODE_BYTES);
}

static void test_multiboot2(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};
	u32 seen = 0;

	f->append = "a b";
	bootfix_write(f->module, "module", 6);
	f->initrd = f->module;
	bootfix_multiboot2(&f->im, false);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_MULTIBOOT2);
	assert_int_equal(f->state.rip, 0x100040);
	bootfix_multiboot2(&f->im, true);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.rip, 0x400010);
	bootfix_assert_code(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.gpr[RAX], 0x36d76289);
	assert_int_equal(cpu.gpr[RBX] & 7, 0);
	u64 info = cpu.gpr[RBX], end = info + bootfix_ram32(f, info);

	for (u64 tag = info + 8; tag < end; tag += ALIGN_UP(bootfix_ram32(f, tag + 4), 8u)) {
		assert_true(bootfix_ram32(f, tag + 4) >= 8);
		seen |= 1u << bootfix_ram32(f, tag);
		if (bootfix_ram32(f, tag) == 3) {
			assert_memory_equal(mem_ram_hva(f->m, bootfix_ram32(f, tag + 8), 6),
					    "module", 6);
			assert_int_equal(bootfix_ram32(f, tag + 12) - bootfix_ram32(f, tag + 8), 6);
		}
	}
	assert_int_equal(seen, 1 << 0 | 1 << 1 | 1 << 2 | 1 << 3 | 1 << 4 | 1 << 6 | 1 << 15);
}

static void test_bzimage(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {0};

	f->append = "console=ttyS0";
	bootfix_write(f->module, "ramdisk", 7);
	f->initrd = f->module;
	bootfix_bzimage(&f->im);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_BZIMAGE);
	bootfix_assert_code(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.rip, 0x400200);
	assert_true(cpu.seg[SEG_CS].ar & SEG_AR_L);
	assert_int_equal(cpu.seg[SEG_CS].sel, 0x10);
	assert_int_equal(cpu.seg[SEG_DS].sel, 0x18);
	u64 zp = cpu.gpr[RSI];

	assert_int_equal(bootfix_ram32(f, zp + 0x202), 0x53726448);
	assert_int_equal(mem_ram_base(f->m)[zp + 0x210], 0xff);
	assert_string_equal((char *)mem_ram_base(f->m) + bootfix_ram32(f, zp + 0x228),
			    "console=ttyS0");
	u32 rd = bootfix_ram32(f, zp + 0x218);

	assert_int_equal(bootfix_ram32(f, zp + 0x21c), 7);
	assert_int_equal(rd, BOOTFIX_RAM_BYTES - 4096);
	assert_memory_equal(mem_ram_hva(f->m, rd, 7), "ramdisk", 7);
	assert_int_equal(mem_ram_base(f->m)[zp + 0x1e8], 5);
	assert_int_equal(bootfix_ram64(f, zp + 0x2d0 + 3 * 20), MIB);
	assert_memory_equal(mem_ram_hva(f->m, bootfix_ram64(f, zp + 0x70), 8), "RSD PTR ", 8);
	/* without a 64-bit entry */
	f->im.data[0x236] = 0;
	assert_int_equal(bootfix_load_image(f), 0);
	assert_false(f->state.long_mode);
	assert_int_equal(f->state.rip, 0x400000);
	/* less memory than its preferred address: relocated */
	bootfix_put32(&f->im, 0x258, 0x4000000);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.rip, 0x200000);
}

static void test_pvh(void **state)
{
	struct boot_fixture *f = *state;

	bootfix_pvh(&f->im);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_int_equal(f->state.kind, BOOT_PVH);
	assert_int_equal(f->state.rip, 0x100080);
	assert_false(f->state.long_mode);
	u64 info = f->state.rbx;

	assert_int_equal(bootfix_ram32(f, info), 0x336ec578);
	assert_int_equal(bootfix_ram64(f, info + 32), 0xf0000);
	assert_int_equal(bootfix_ram32(f, info + 48), 5);
	assert_int_equal(bootfix_ram64(f, bootfix_ram64(f, info + 40) + 3 * 24), MIB);
	bootfix_put32(&f->im, 512, 3); /* another name: plain ELF64 */
	assert_int_equal(bootfix_load_image(f), 0);
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

	bootfix_elf32(&f->im, 0x100000, 0x100000);
	bootfix_write(f->path, f->im.data, f->im.bytes);
	assert_int_equal(boot_load(f->m, &req, &f->state, f->err, sizeof(f->err)), 0);
	u64 rsdp = 0xf0000, xsdt = bootfix_ram64(f, rsdp + 24);

	assert_sum(f, rsdp, 20);
	assert_sum(f, rsdp, 36);
	assert_sum(f, xsdt, bootfix_ram32(f, xsdt + 4));
	for (u32 i = 0; i < ARRAY_SIZE(names); i++) {
		u64 t = bootfix_ram64(f, xsdt + 36 + 8 * i);

		assert_memory_equal(mem_ram_hva(f->m, t, 4), names[i], 4);
		assert_sum(f, t, bootfix_ram32(f, t + 4));
	}
	u64 dsdt = bootfix_ram32(f, bootfix_ram64(f, xsdt + 36) + 40),
	    madt = bootfix_ram64(f, xsdt + 44);
	u32 lapics = 0;

	assert_memory_equal(mem_ram_hva(f->m, dsdt, 4), "DSDT", 4);
	assert_sum(f, dsdt, bootfix_ram32(f, dsdt + 4));
	for (u64 e = madt + 44; e < madt + bootfix_ram32(f, madt + 4);
	     e += mem_ram_base(f->m)[e + 1]) {
		assert_true(mem_ram_base(f->m)[e + 1] >= 6);
		lapics += mem_ram_base(f->m)[e] == 0;
	}
	assert_int_equal(lapics, 3);
	for (u64 p = 0xf0000;; p += 16) {
		assert_true(p < 0x100000);
		if (bootfix_ram32(f, p) != 0x5f504d5f)
			continue;
		assert_sum(f, p, 16);
		assert_sum(f, bootfix_ram32(f, p + 4),
			   bootfix_ram32(f, bootfix_ram32(f, p + 4) + 4) & 0xffff);
		break;
	}
}

static void test_modules(void **state)
{
	struct boot_fixture *f = *state;
	char data[5000];

	for (u32 i = 0; i < sizeof(data); i++)
		data[i] = (char)(i * 3);
	bootfix_write(f->module, data, sizeof(data));
	f->initrd = f->module;
	bootfix_elf32(&f->im, 0x100000, 0x100000);
	assert_int_equal(bootfix_load_image(f), 0);
	u64 info = f->state.info_gpa;

	assert_int_equal(bootfix_ram32(f, info) & 8, 8);
	assert_int_equal(bootfix_ram32(f, info + 20), 1);
	u32 mods = bootfix_ram32(f, info + 24), start = bootfix_ram32(f, mods),
	    end = bootfix_ram32(f, mods + 4);

	assert_int_equal(start & 0xfff, 0);
	assert_true(start >= 0x100000 + CODE_BYTES);
	assert_int_equal(end - start, sizeof(data));
	assert_memory_equal(mem_ram_hva(f->m, start, sizeof(data)), data, sizeof(data));
	assert_string_equal((char *)mem_ram_base(f->m) + bootfix_ram32(f, mods + 8), f->module);
	f->initrd = "/nonexistent/initrd";
	assert_int_equal(bootfix_load(f), -ENOENT);
	assert_non_null(strstr(f->err, "/nonexistent/initrd: "));
}

/* The 16-bit entry: the setup code and its BIOS, not the zero page. */
static void test_real_mode(void **state)
{
	struct boot_fixture *f = *state;
	struct cpu_state cpu = {.cr0 = 0x60000010};

	f->append = "console=ttyS0";
	f->entry = 16;
	bootfix_write(f->module, "ramdisk", 7);
	f->initrd = f->module;
	bootfix_bzimage(&f->im);
	assert_int_equal(bootfix_load_image(f), 0);
	assert_true(f->state.real_mode);
	bootfix_assert_code(f, 0x400000);
	boot_apply(&f->state, &cpu);
	assert_int_equal(cpu.cr0, 0x60000010);
	assert_int_equal(cpu.rip, 0);
	assert_int_equal(cpu.seg[SEG_CS].sel, 0x1020);
	assert_int_equal(cpu.seg[SEG_CS].base, 0x10200);
	assert_int_equal(cpu.seg[SEG_SS].base, 0x10000);
	assert_int_equal(cpu.seg[SEG_DS].sel, 0x1000);
	assert_int_equal(cpu.gpr[RSP], 0xe000);
	assert_int_equal(bootfix_ram32(f, 0x10202), 0x53726448);
	assert_int_equal(bootfix_ram32(f, 0x10224) & 0xffff, 0xde00);
	assert_int_equal(bootfix_ram32(f, 0x10214), 0x400000);
	assert_int_equal(mem_ram_base(f->m)[0x10211] & 0x80, 0x80);
	assert_string_equal((char *)mem_ram_base(f->m) + bootfix_ram32(f, 0x10228),
			    "console=ttyS0");
	assert_memory_equal(mem_ram_hva(f->m, bootfix_ram32(f, 0x10218), 7), "ramdisk", 7);
	/* every vector leads into the BIOS, whose first word is the number of ranges */
	u32 bios = (bootfix_ram32(f, 0) >> 16) << 4;

	for (u32 i = 1; i < 256; i++)
		assert_int_equal(bootfix_ram32(f, 4 * i) >> 16, bios >> 4);
	assert_int_equal(bootfix_ram32(f, bios) & 0xffff, 5);
	f->im.data[0x1f1] = 200;
	f->im.data[0x1f4] = 0;
	assert_int_not_equal(bootfix_load_image(f), 0);
	f->entry = 64;
	bootfix_bzimage(&f->im);
	f->im.data[0x236] = 0;
	bootfix_assert_fails(f, -ENOEXEC, "no 64-bit entry");
	f->nmodules = 1;
	f->entry = 0;
	bootfix_assert_fails(f, -ENOEXEC, "takes no modules");
	f->nmodules = 0;
	f->entry = 16;
	bootfix_elf64(&f->im, 0x100000, 0x100000, 0x100000);
	bootfix_assert_fails(f, -ENOEXEC, "cannot be chosen");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOOTFIX_TEST(test_elf64),
		BOOTFIX_TEST(test_elf64_virtual_entry),
		BOOTFIX_TEST(test_elf32),
		BOOTFIX_TEST(test_multiboot_elf),
		BOOTFIX_TEST(test_multiboot_addresses),
		BOOTFIX_TEST(test_modules),
		BOOTFIX_TEST(test_real_mode),
		BOOTFIX_TEST(test_multiboot2),
		BOOTFIX_TEST(test_bzimage),
		BOOTFIX_TEST(test_pvh),
		BOOTFIX_TEST(test_firmware_tables),
	};

	return cmocka_run_group_tests_name("boot", tests, NULL, NULL);
}
