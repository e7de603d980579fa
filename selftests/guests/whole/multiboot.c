// SPDX-License-Identifier: GPL-2.0-only
/*
 * A multiboot kernel that looks at what it was given: magic, command line, memory map and two
 * modules, the first of them holding "first module", the second told with "two words". It says
 * what is wrong, or that nothing is, on COM1, and gives the number of checks that failed (or
 * PASSED) to the debug-exit port.
 */
#define PASSED		7

typedef unsigned int u32;
typedef unsigned long long u64;

struct module {
	u32 start, end;
	const char *text;
	u32 reserved;
};

struct region {
	u32 size;
	u64 start, length;
	u32 type;
} __attribute__((packed));

struct information {
	u32 flags, memory_lower, memory_upper, boot_device;
	const char *command_line;
	u32 modules;
	const struct module *module;
	u32 symbols[4], map_bytes;
	const struct region *map;
	u32 drives[2], config;
	const char *loader;
};

__asm__(".section .multiboot, \"a\"\n"
	".balign 4\n"
	".long 0x1badb002, 3, -(0x1badb002 + 3)\n"
	".text\n"
	".globl _start\n"
	"_start:\n"
	"	mov $stack_top, %esp\n"
	"	push %ebx\n"
	"	push %eax\n"
	"	call check_all\n"
	"0:	hlt\n"
	"	jmp 0b\n"
	".lcomm stack, 4096\n"
	".set stack_top, stack + 4096\n");

static u32 failed;
static volatile char not_in_the_file[10000];	/* must be zeros */

static void out(unsigned short port, unsigned char value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static void print(const char *text)
{
	while (*text)
		out(0x3f8, *text++);
}

static void check(int holds, const char *claim)
{
	print(holds ? "ok - " : "not ok - ");
	print(claim);
	print("\r\n");
	failed += !holds;
}

/* Does the text end like this? */
static int ends(const char *text, const char *end)
{
	const char *from, *to;

	for (; *text; text++) {
		for (from = text, to = end; *from && *from == *to; from++, to++)
			;
		if (!*from && !*to)
			return 1;
	}
	return 0;
}

static int begins(const char *text, const char *begin)
{
	while (*begin)
		if (*text++ != *begin++)
			return 0;
	return 1;
}

/* The region of RAM from 1 MiB on is as long as memory_upper says */
static int map_agrees(const struct information *info)
{
	const char *at = (const char *)info->map, *end = at + info->map_bytes;

	while (at < end) {
		const struct region *region = (const struct region *)at;

		if (region->type == 1 && region->start == 0x100000)
			return region->length == (u64)info->memory_upper << 10;
		at += region->size + sizeof(region->size);
	}
	return 0;
}

static int all_zeros(void)
{
	u32 i;

	for (i = 0; i < sizeof(not_in_the_file); i++)
		if (not_in_the_file[i])
			return 0;
	return 1;
}

void check_all(u32 magic, const struct information *info)
{
	check(magic == 0x2badb002, "EAX is the loader's magic");
	check((info->flags & 0x24d) == 0x24d, "memory, command line, modules, map and name are told");
	check(ends(info->command_line, "three words here"), "the command line ends with what was given");
	check(info->memory_lower >= 600 && info->memory_upper >= 7 << 10, "there is memory");
	check(map_agrees(info), "the map agrees");
	check(all_zeros(), "the BSS is zeros");
	check(info->modules == 2, "there are two modules");
	if (info->modules == 2) {
		check(begins((const char *)info->module[0].start, "first module"), "the first one's bytes");
		check(info->module[0].start % 4096 == 0 && info->module[1].start % 4096 == 0,
		      "both lie on pages");
		check(ends(info->module[1].text, "two words"), "the second one's text");
	}
	check(begins(info->loader, "thv") || begins(info->loader, "GRUB"), "the loader has a name");
	out(0xf4, failed ? failed : PASSED);
}
