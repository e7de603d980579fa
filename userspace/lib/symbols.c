// SPDX-License-Identifier: GPL-2.0-only
/* Code symbols in the order of their addresses, and the search in them. */
#include "lib/symbols.h"

#include <errno.h>
#include <fcntl.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/error.h"

/* No function is as long; what is farther from a symbol has none. */
#define FARTHEST	(1ULL << 20)

static int add(struct symbols *symbols, u64 address, const char *name)
{
	struct symbol *more;

	if (symbols->count == symbols->room) {
		symbols->room = symbols->room ? symbols->room * 2 : 1024;
		more = reallocarray(symbols->symbol, symbols->room, sizeof(*more));
		if (!more)
			return error_set("out of memory");
		symbols->symbol = more;
	}
	more = &symbols->symbol[symbols->count];
	more->address = address;
	more->name = strdup(name);
	if (!more->name)
		return error_set("out of memory");
	symbols->count++;
	return 0;
}

/* Lines of "ffffffff81000000 T _text", a module's name perhaps behind; code only */
static int read_map(struct symbols *symbols, FILE *file)
{
	char line[512], name[256], type;
	unsigned long long address;

	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%llx %c %255s", &address, &type, name) != 3)
			continue;
		if (strchr("tTwW", type) && address && add(symbols, address, name))
			return -1;
	}
	return 0;
}

static int read_section(struct symbols *symbols, Elf *elf, Elf_Scn *section,
			const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	size_t i, count = header->sh_entsize ? header->sh_size / header->sh_entsize : 0;
	const char *name;
	GElf_Sym symbol;

	for (i = 0; data && i < count && gelf_getsym(data, i, &symbol); i++) {
		unsigned int type = GELF_ST_TYPE(symbol.st_info);

		if ((type != STT_FUNC && type != STT_NOTYPE) || symbol.st_shndx == SHN_UNDEF ||
		    symbol.st_shndx == SHN_ABS)
			continue;
		name = elf_strptr(elf, header->sh_link, symbol.st_name);
		if (name && *name && add(symbols, symbol.st_value, name))
			return -1;
	}
	return 0;
}

static int read_elf(struct symbols *symbols, int fd)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	Elf *elf;
	int result = 0;

	if (elf_version(EV_CURRENT) == EV_NONE)
		return error_set("libelf: %s", elf_errmsg(-1));
	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (!elf)
		return error_set("libelf: %s", elf_errmsg(-1));
	while (!result && (section = elf_nextscn(elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB)
			result = read_section(symbols, elf, section, &header);
	elf_end(elf);
	return result;
}

static int by_address(const void *a, const void *b)
{
	const struct symbol *x = a, *y = b;

	return x->address < y->address ? -1 : x->address > y->address;
}

static int read_file(struct symbols *symbols, FILE *file)
{
	char magic[SELFMAG] = "";

	if (fread(magic, 1, SELFMAG, file) == SELFMAG && !memcmp(magic, ELFMAG, SELFMAG))
		return read_elf(symbols, fileno(file));
	rewind(file);
	return read_map(symbols, file);
}

int symbols_load(struct symbols *symbols, const char *path)
{
	FILE *file = fopen(path, "re");
	int result;

	memset(symbols, 0, sizeof(*symbols));
	if (!file)
		return error_errno("%s", path);
	result = read_file(symbols, file);
	fclose(file);
	if (result)
		return error_set("%s: %s", path, error_text());
	if (!symbols->count)
		return error_set("%s: no symbols in it; give a System.map, a vmlinux with its symbol table, or a copy of the guest's /proc/kallsyms as root sees it",
				 path);
	qsort(symbols->symbol, symbols->count, sizeof(struct symbol), by_address);
	return 0;
}

void symbols_free(struct symbols *symbols)
{
	size_t i;

	for (i = 0; i < symbols->count; i++)
		free(symbols->symbol[i].name);
	free(symbols->symbol);
	memset(symbols, 0, sizeof(*symbols));
}

bool symbols_address(const struct symbols *symbols, const char *name, u64 *address)
{
	size_t i;

	for (i = 0; i < symbols->count; i++) {
		if (!strcmp(symbols->symbol[i].name, name)) {
			*address = symbols->symbol[i].address;
			return true;
		}
	}
	return false;
}

/* The last symbol at or below the address; NULL: none */
static const struct symbol *below(const struct symbols *symbols, u64 address)
{
	size_t low = 0, high = symbols->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->symbol[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? &symbols->symbol[low - 1] : NULL;
}

bool symbols_name(const struct symbols *symbols, u64 address, char *text, size_t size)
{
	const struct symbol *symbol = below(symbols, address - symbols->slide);
	u64 offset;

	if (!symbol)
		return false;
	offset = address - symbols->slide - symbol->address;
	if (offset >= FARTHEST)
		return false;
	snprintf(text, size, "%s+%#llx", symbol->name, offset);
	return true;
}

bool symbols_slide(const struct symbols *symbols, const char *name, u64 actual, u64 *slide)
{
	u64 linked;

	if (!symbols_address(symbols, name, &linked))
		return false;
	*slide = actual - linked;
	return *slide < (1ULL << 30) && !(*slide % SIZE_2M);
}
