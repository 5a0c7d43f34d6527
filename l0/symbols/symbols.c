/* Symbols of guests; see symbols.h. */
#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "l0/symbols/symbols.h"

#define FAR_BYTES (1ull << 20) /* a symbol without a size covers at most so much */
#define MAX_SYMBOLS (8u << 20)
#define LINE_BYTES 512
#define SLIDE_STEP (2ull << 20)

struct symbol {
	u64 address, size; /* size 0: unknown */
	u32 name;	   /* offset in names */
};

struct symbols {
	char path[512];
	struct symbol *symbol; /* by address */
	u32 count, room;
	char *names;
	size_t names_used, names_room;
	u64 slide;
	bool has_slide; /* was given */
};

static bool add_symbol(struct symbols *s, u64 address, u64 size, const char *name)
{
	size_t bytes = strlen(name) + 1;
	void *grown;

	if (s->count == MAX_SYMBOLS)
		return true;
	if (s->count == s->room) {
		grown = realloc(s->symbol, (s->room ? s->room * 2 : 4096) * sizeof(*s->symbol));
		if (!grown)
			return false;
		s->symbol = grown;
		s->room = s->room ? s->room * 2 : 4096;
	}
	if (s->names_used + bytes > s->names_room) {
		grown = realloc(s->names, s->names_room * 2 + bytes + 65536);
		if (!grown)
			return false;
		s->names = grown;
		s->names_room = s->names_room * 2 + bytes + 65536;
	}
	memcpy(s->names + s->names_used, name, bytes);
	s->symbol[s->count++] = (struct symbol){address, size, (u32)s->names_used};
	s->names_used += bytes;
	return true;
}

/* --- ELF --- */
static bool is_code(Elf *elf, const GElf_Sym *sym)
{
	Elf_Scn *scn = sym->st_shndx == SHN_UNDEF || sym->st_shndx >= SHN_LORESERVE
			       ? NULL
			       : elf_getscn(elf, sym->st_shndx);
	int type = GELF_ST_TYPE(sym->st_info);
	GElf_Shdr shdr;

	return scn && gelf_getshdr(scn, &shdr) && (shdr.sh_flags & SHF_EXECINSTR) &&
	       (type == STT_FUNC || type == STT_NOTYPE || type == STT_GNU_IFUNC);
}

static int read_table(struct symbols *s, Elf *elf, Elf_Scn *scn, const GElf_Shdr *shdr)
{
	Elf_Data *data = elf_getdata(scn, NULL);
	size_t n = data && shdr->sh_entsize ? data->d_size / shdr->sh_entsize : 0;

	for (size_t i = 0; i < n && i < MAX_SYMBOLS; i++) {
		const char *name;
		GElf_Sym sym;

		if (!gelf_getsym(data, (int)i, &sym) || !is_code(elf, &sym))
			continue;
		name = elf_strptr(elf, shdr->sh_link, sym.st_name);
		if (name && *name && !add_symbol(s, sym.st_value, sym.st_size, name))
			return -ENOMEM;
	}
	return 0;
}

static int read_elf(struct symbols *s, int fd)
{
	Elf *elf = elf_begin(fd, ELF_C_READ, NULL);
	Elf_Scn *scn = NULL;
	GElf_Shdr shdr;
	int err = 0;

	if (!elf)
		return -EINVAL;
	while (!err && (scn = elf_nextscn(elf, scn)))
		if (gelf_getshdr(scn, &shdr) && shdr.sh_type == SHT_SYMTAB)
			err = read_table(s, elf, scn, &shdr);
	elf_end(elf);
	return err;
}

/* --- System.map: "ffffffff81000000 T _text" --- */
static int read_map(struct symbols *s, FILE *f)
{
	char line[LINE_BYTES], name[LINE_BYTES], type;
	unsigned long long address;

	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx %c %511s", &address, &type, name) != 3)
			return s->count ? 0 : -EINVAL;
		if (strchr("tTwW", type) && !add_symbol(s, address, 0, name))
			return -ENOMEM;
	}
	return ferror(f) ? -EIO : 0;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	if (x->address != y->address)
		return x->address < y->address ? -1 : 1;
	/* of several names of one address the first in the file, as nm -n has it */
	return x->name < y->name ? -1 : x->name > y->name;
}

/* FILE@SLIDE: what is behind the last @ is a slide when it reads as a number. */
static void split_spec(struct symbols *s, const char *spec)
{
	char *at, *end;
	u64 slide;

	snprintf(s->path, sizeof(s->path), "%s", spec);
	at = strrchr(s->path, '@');
	if (!at || !at[1])
		return;
	slide = strtoull(at + 1, &end, 0);
	if (*end)
		return;
	*at = 0;
	s->slide = slide;
	s->has_slide = true;
}

static int read_file(struct symbols *s)
{
	struct stat st;
	char magic[4] = "";
	FILE *f = fopen(s->path, "re");
	int err;

	if (!f)
		return -errno;
	if (fstat(fileno(f), &st) || !S_ISREG(st.st_mode)) {
		fclose(f);
		return S_ISDIR(st.st_mode) ? -EISDIR : -EINVAL;
	}
	if (fread(magic, 1, sizeof(magic), f) == sizeof(magic) && !memcmp(magic, ELFMAG, SELFMAG)) {
		err = elf_version(EV_CURRENT) == EV_NONE ? -EINVAL : read_elf(s, fileno(f));
	} else {
		rewind(f);
		err = read_map(s, f);
	}
	fclose(f);
	return err;
}

int symbols_load(const char *spec, struct symbols **out, char *why, size_t why_bytes)
{
	struct symbols *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (!s) {
		snprintf(why, why_bytes, "out of memory");
		return -ENOMEM;
	}
	split_spec(s, spec);
	err = read_file(s);
	if (!err && !s->count)
		err = -ENOENT;
	if (err) {
		snprintf(why, why_bytes, "%s: %s", s->path,
			 err == -EINVAL ? "neither an ELF file nor a System.map"
			 : err == -ENOENT && access(s->path, F_OK) == 0
				 ? "no symbols of code in it (is it stripped?)"
				 : strerror(-err));
		symbols_free(s);
		return err;
	}
	qsort(s->symbol, s->count, sizeof(*s->symbol), by_address);
	*out = s;
	return 0;
}

void symbols_free(struct symbols *s)
{
	if (!s)
		return;
	free(s->symbol);
	free(s->names);
	free(s);
}

/* --- look-ups --- */
const char *symbols_name(const struct symbols *s, u64 address, char *buf)
{
	u64 in_file = address - s->slide;
	u32 lo = 0, hi = s->count;
	const struct symbol *sym;

	/* the last that begins at or before it */
	while (lo < hi) {
		u32 mid = lo + (hi - lo) / 2;

		if (s->symbol[mid].address <= in_file)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (!lo)
		return NULL;
	sym = &s->symbol[lo - 1];
	while (sym > s->symbol && sym[-1].address == sym->address)
		sym--;
	if (in_file - sym->address >= (sym->size ? sym->size : FAR_BYTES))
		return NULL;
	if (in_file == sym->address)
		snprintf(buf, SYMBOLS_NAME_BYTES, "%s", s->names + sym->name);
	else
		snprintf(buf, SYMBOLS_NAME_BYTES, "%.100s+%#llx", s->names + sym->name,
			 (unsigned long long)(in_file - sym->address));
	return buf;
}

bool symbols_address(const struct symbols *s, const char *name, u64 *address)
{
	for (u32 i = 0; i < s->count; i++) {
		if (strcmp(s->names + s->symbol[i].name, name))
			continue;
		*address = s->symbol[i].address;
		return true;
	}
	return false;
}

void symbols_find_slide(struct symbols *s, u64 lstar)
{
	u64 entry;

	if (s->has_slide || !lstar || !symbols_address(s, "entry_SYSCALL_64", &entry) ||
	    (lstar - entry) % SLIDE_STEP)
		return;
	s->slide = lstar - entry;
}

const char *symbols_path(const struct symbols *s)
{
	return s->path;
}

u64 symbols_slide(const struct symbols *s)
{
	return s->slide;
}
