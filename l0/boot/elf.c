/*
 * elf.c - ELF executables, by libelf
 *
 * The header and the bounds of every table and segment are checked here before libelf or a copy
 * sees them: images come from anywhere. Segments go to their physical addresses.
 */
#include <errno.h>
#include <gelf.h>
#include <stdio.h>
#include <string.h>

#include "l0/boot/boot_priv.h"

#define MAX_LOAD_SEGMENTS 1024u

bool boot_is_elf(const struct boot_file *f)
{
	return f->bytes >= SELFMAG && !memcmp(f->data, ELFMAG, SELFMAG);
}

static u8 ident(const struct boot_file *f, u32 index)
{
	return f->bytes > index ? f->data[index] : 0;
}

static bool is_elf64(const struct boot_file *f)
{
	return boot_is_elf(f) && ident(f, EI_CLASS) == ELFCLASS64;
}

static bool is_elf32(const struct boot_file *f)
{
	return boot_is_elf(f) && !is_elf64(f); /* a wrong class fails when it is loaded */
}

static const char *machine_name(u32 machine)
{
	switch (machine) {
	case EM_AARCH64: return "64-bit Arm";
	case EM_ARM: return "32-bit Arm";
	case EM_RISCV: return "RISC-V";
	case EM_PPC:
	case EM_PPC64: return "Power";
	case EM_S390: return "System/390";
	case EM_MIPS: return "MIPS";
	case EM_SPARC:
	case EM_SPARCV9: return "SPARC";
	case EM_IA_64: return "Itanium";
	default: return NULL;
	}
}

static int check_machine(struct boot_ctx *c, const GElf_Ehdr *eh, bool is64)
{
	const char *path = c->image.path, *name = machine_name(eh->e_machine);

	if (eh->e_machine != (is64 ? EM_X86_64 : EM_386)) {
		/* x86-64 code in an ELF32 file (x32) has no entry protocol of its own */
		if (name)
			return boot_fail(c, path, -ENOEXEC, "made for %s, not for x86", name);
		return boot_fail(c, path, -ENOEXEC,
				 "made for ELF machine %u (class %d), not for x86", eh->e_machine,
				 is64 ? 64 : 32);
	}
	switch (eh->e_type) {
	case ET_EXEC: return 0;
	case ET_REL:
		return boot_fail(c, path, -ENOEXEC,
				 "an object file: link it to a fixed address first");
	case ET_DYN:
		return boot_fail(
			c, path, -ENOEXEC,
			"a shared or position-independent ELF file: link it to a fixed address");
	default: return boot_fail(c, path, -ENOEXEC, "not an executable (ELF type %u)", eh->e_type);
	}
}

/* The ident bytes and the header, before libelf sees the file. */
static int check_header(struct boot_ctx *c, bool *is64)
{
	const struct boot_file *f = &c->image;
	u8 class = ident(f, EI_CLASS);
	u64 need = class == ELFCLASS64 ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);

	if (f->bytes < EI_NIDENT || f->bytes < need)
		return boot_fail(c, f->path, -ENOEXEC,
				 "truncated: %llu bytes do not hold an ELF header",
				 (unsigned long long)f->bytes);
	if (class != ELFCLASS32 && class != ELFCLASS64)
		return boot_fail(c, f->path, -ENOEXEC, "not ELF32 or ELF64 (class %u)", class);
	if (ident(f, EI_DATA) != ELFDATA2LSB)
		return boot_fail(c, f->path, -ENOEXEC, "not little-endian: not made for x86");
	*is64 = class == ELFCLASS64;
	return 0;
}

static int check_phdr_table(struct boot_ctx *c, const GElf_Ehdr *eh, bool is64, size_t count)
{
	u64 entry = is64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr), bytes = c->image.bytes;

	if (!count || !eh->e_phoff)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "no program headers: nothing that can be loaded");
	if (eh->e_phentsize != entry)
		return boot_fail(c, c->image.path, -ENOEXEC, "program headers of %u bytes, not %u",
				 eh->e_phentsize, (unsigned)entry);
	if (eh->e_phoff > bytes || count > (bytes - eh->e_phoff) / entry)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "truncated: the program headers lie beyond the end of the file");
	return 0;
}

/* One PT_LOAD segment; @at: the physical address of the entry point when it lies in here. */
static int load_segment(struct boot_ctx *c, const GElf_Phdr *ph, u32 index)
{
	const struct boot_file *f = &c->image;
	char what[32];

	snprintf(what, sizeof(what), "segment %u", index);
	if (ph->p_offset > f->bytes || ph->p_filesz > f->bytes - ph->p_offset)
		return boot_fail(c, f->path, -ENOEXEC,
				 "truncated: %s ends at byte %llu, the file at %llu", what,
				 (unsigned long long)(ph->p_offset + ph->p_filesz),
				 (unsigned long long)f->bytes);
	if (ph->p_filesz > ph->p_memsz)
		return boot_fail(c, f->path, -ENOEXEC, "%s is larger in the file than in memory",
				 what);
	return boot_place(c, f->path, what, ph->p_paddr, f->data + ph->p_offset, ph->p_filesz,
			  ph->p_memsz);
}

/*
 * The physical address of e_entry: most images give it as a virtual address of the segment that
 * holds it, some (linked with an offset) as a physical one.
 */
static bool find_entry(const GElf_Phdr *ph, u64 e_entry, u64 *virt, u64 *phys)
{
	if (e_entry - ph->p_vaddr < ph->p_memsz && *virt == ~0ull)
		*virt = e_entry - ph->p_vaddr + ph->p_paddr;
	if (e_entry - ph->p_paddr < ph->p_memsz)
		*phys = e_entry;
	return *virt != ~0ull || *phys != ~0ull;
}

static int load_segments(struct boot_ctx *c, Elf *elf, const GElf_Ehdr *eh, size_t count,
			 u64 *entry)
{
	u64 virt = ~0ull, phys = ~0ull;
	u32 loaded = 0;
	GElf_Phdr ph;

	for (size_t i = 0; i < count; i++) {
		if (!gelf_getphdr(elf, (int)i, &ph))
			return boot_fail(c, c->image.path, -ENOEXEC, "bad program header: %s",
					 elf_errmsg(-1));
		if (ph.p_type != PT_LOAD || !ph.p_memsz)
			continue;
		if (++loaded > MAX_LOAD_SEGMENTS)
			return boot_fail(c, c->image.path, -ENOEXEC, "more than %u segments",
					 MAX_LOAD_SEGMENTS);
		int ret = load_segment(c, &ph, (u32)i);

		if (ret)
			return ret;
		find_entry(&ph, eh->e_entry, &virt, &phys);
	}
	if (!loaded)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "no loadable segment: nothing that can be run");
	if (virt == ~0ull && phys == ~0ull)
		return boot_fail(c, c->image.path, -ENOEXEC,
				 "its entry point 0x%llx lies in no segment",
				 (unsigned long long)eh->e_entry);
	*entry = virt != ~0ull ? virt : phys;
	return 0;
}

int boot_elf_load(struct boot_ctx *c, u64 *entry)
{
	bool is64 = false;
	int ret = check_header(c, &is64);
	size_t count = 0;
	GElf_Ehdr eh;

	if (ret)
		return ret;
	elf_version(EV_CURRENT);
	Elf *elf = elf_memory((char *)c->image.data, c->image.bytes);

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &eh)) {
		ret = boot_fail(c, c->image.path, -ENOEXEC, "damaged ELF file: %s", elf_errmsg(-1));
		goto out;
	}
	ret = check_machine(c, &eh, is64);
	if (ret)
		goto out;
	count = eh.e_phnum;
	if (count == PN_XNUM && elf_getphdrnum(elf, &count)) {
		ret = boot_fail(c, c->image.path, -ENOEXEC, "damaged ELF file: %s", elf_errmsg(-1));
		goto out;
	}
	ret = check_phdr_table(c, &eh, is64, count);
	if (!ret)
		ret = load_segments(c, elf, &eh, count, entry);
out:
	if (elf)
		elf_end(elf);
	return ret;
}

static int load_elf64(struct boot_ctx *c)
{
	int ret = boot_elf_load(c, &c->out->rip);

	if (!ret && c->out->rip >= 4 * GIB)
		return boot_fail(
			c, c->image.path, -ENOEXEC,
			"its entry point 0x%llx is above the 4 GiB that are mapped at entry",
			(unsigned long long)c->out->rip);
	return ret ? ret : boot_multiboot1_info(c, true);
}

static int load_elf32(struct boot_ctx *c)
{
	int ret = boot_elf_load(c, &c->out->rip);

	return ret ? ret : boot_multiboot1_info(c, false);
}

const struct boot_format boot_elf64 = {BOOT_ELF64, is_elf64, load_elf64};
const struct boot_format boot_elf32 = {BOOT_ELF32, is_elf32, load_elf32};
