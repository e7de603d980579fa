// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/boot/bzimage.c userspace/boot/loader.c userspace/boot/modes.c userspace/boot/elf.c userspace/boot/pvh.c userspace/boot/multiboot.c userspace/boot/flat.c userspace/boot/bios.c userspace/boot/fwitems.c userspace/boot/acpi.c userspace/lib/options.c userspace/vmm/memory.c userspace/lib/error.c
/*
 * Any file as a kernel, of any kind: it is refused with a sentence, or loaded, and then nothing of it
 * is outside of the guest's memory or over another part, and vCPU 0 starts inside of it.
 *
 * With clang this is a libFuzzer target:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -I uapi -I userspace -I selftests/unit \
 *		selftests/fuzz/fuzz_loader.c userspace/boot/{bzimage,loader,modes,elf,pvh,multiboot,flat,bios,fwitems,acpi}.c \
 *		userspace/vmm/memory.c userspace/lib/{options,error}.c
 *
 * With any compiler it has a main() of its own, that damages good kernels: SEED says
 * from which number on, RUNS how many (0: for SECONDS, 5 unless told).
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <asm/bootparam.h>

#include "boot/boot.h"
#include "fuzz.h"
#include "kernels.h"
#include "lib/device.h"
#include "lib/error.h"

#define MEMORY	(16 * SIZE_1M)
#define RSDP	0xe0000

static char path[64], module_path[64];
static struct memory memory;
static struct thv_regs regs;
static struct thv_sregs sregs;

int vm_set_memory(int vm, const struct thv_memory *slot)
{
	return 0;
}

int vcpu_get(int vcpu, enum thv_state_id component, void *data, u32 size)
{
	memset(data, 0, size);
	return 0;
}

int vcpu_set(int vcpu, enum thv_state_id component, const void *data, u32 size)
{
	memcpy(component == THV_STATE_REGS ? (void *)&regs : (void *)&sregs, data, size);
	return 0;
}

static void check_pieces(const struct boot_image *image)
{
	const struct boot_piece *piece = image->piece, *other;

	for (; piece < image->piece + image->pieces; piece++) {
		REQUIRE(piece->size <= piece->room);
		REQUIRE(memory_at(&memory, piece->address, piece->room));
		REQUIRE(piece->address >= BOOT_LOWEST && piece->address + piece->room <= memory.low);
		REQUIRE(piece->address + piece->room <= BOOT_RAM_END || piece->address >= BOOT_HIGH);
		for (other = image->piece; other < piece; other++)
			REQUIRE(other->address + other->room <= piece->address ||
				piece->address + piece->room <= other->address);
		REQUIRE(!image->info || image->info + image->info_size <= piece->address ||
			piece->address + piece->room <= image->info);
	}
}

static void check_start(const struct boot_image *image)
{
	u64 entry = sregs.seg[THV_CS].base + regs.rip;

	REQUIRE(entry >= image->piece[0].address || image->pieces > 1);
	REQUIRE(memory_at(&memory, entry, 1));
}

static void one_file(u32 kind)
{
	static const char *const module[] = { module_path };
	static struct boot_image image;
	const struct boot_files files = {
		.kernel = path, .kind = kind,
		.modules = { kind == 2 || kind == 3, (const char **)module },
		.initrd = kind == 1 || kind == 3 ? module_path : NULL,
	};

	if (boot_open(&image, &files, &memory)) {
		REQUIRE(strlen(error_text()) > 10);
		return;
	}
	check_pieces(&image);
	if (!boot_load(&image, &memory, RSDP)) {
		REQUIRE(!boot_start(&image, -1));
		check_start(&image);
	}
	boot_close(&image);
}

static void begin(void)
{
	int kernel = memfd_create("kernel", 0), module = memfd_create("module", 0);

	REQUIRE(kernel >= 0 && module >= 0 && write(module, "module", 6) == 6);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kernel);
	snprintf(module_path, sizeof(module_path), "/proc/self/fd/%d", module);
	REQUIRE(!memory_create(&memory, MEMORY, "fuzz", false));
}

/* The first byte says as which kind */
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	int fd;

	if (!path[0])
		begin();
	if (size < 2)
		return 0;
	fd = open(path, O_WRONLY | O_TRUNC);
	REQUIRE(fd >= 0 && write(fd, data + 1, size - 1) == (ssize_t)size - 1);
	close(fd);
	one_file(data[0] % 5);
	return 0;
}

/* ---- without libFuzzer: good kernels, damaged ------------------------------------ */

static void make_linux(u8 *file)
{
	struct setup_header *hdr = (void *)(file + 0x1f1);

	fill(file);
	memset(file, 0, 1024);
	hdr->setup_sects = 3;
	hdr->syssize = (KERNEL_BYTES - 2048) / 16;
	hdr->boot_flag = 0xaa55;
	hdr->jump = 0x66eb;
	hdr->header = 0x53726448;
	hdr->version = 0x020f;
	hdr->loadflags = LOADED_HIGH;
	hdr->initrd_addr_max = 0x7fffffff;
	hdr->kernel_alignment = 2 << 20;
	hdr->relocatable_kernel = 1;
	hdr->xloadflags = random() & 1;
	hdr->cmdline_size = 2047;
	hdr->pref_address = 2 << 20;
	hdr->init_size = 4 << 20;
}

static void make_multiboot_elf(u8 *file)
{
	make_elf32(file);
	put_multiboot(file, SEGMENT_OFFSET, 0);
}

static const struct {
	void (*make)(u8 *file);
	u8 kind;
	u32 header, bytes;		/* where damage is most likely to matter */
} kernels[] = {
	{ make_linux, 1, 0x1f1, 0x80 }, { make_plain, 2, 256, 32 },
	{ make_multiboot_elf, 2, 0, 116 }, { make_elf32, 3, 0, 116 }, { make_elf64, 3, 0, 176 },
	{ make_elf64, 3, NOTE_OFFSET, 40 }, { make_sector, 4, 0, 512 },
};

/* A few bytes, or a whole field of an edge value */
static void damage(u8 *header, u32 bytes)
{
	static const u64 edges[] = { 0, 1, 0xfff, 0x7fffffff, 0xffffffff, ~0ULL, ~0ULL >> 1, 1 << 20 };
	u32 count = random() % 4, at;

	while (count--) {
		at = random() % bytes;
		if (random() % 2)
			header[at] = random();
		else
			memcpy(header + at / 4 * 4, &edges[random() % 8], random() % 2 ? 4 : 8);
	}
}

static size_t make_input(u8 *data)
{
	u32 i = random() % ARRAY_SIZE(kernels);

	kernels[i].make(data + 1);
	damage(data + 1 + kernels[i].header, kernels[i].bytes);
	if (i == 1 && random() % 2)		/* else the checksum refuses nearly all of them */
		*(u32 *)(data + 1 + 264) = -(*(u32 *)(data + 1 + 256) + *(u32 *)(data + 1 + 260));
	data[0] = random() % 4 ? kernels[i].kind : random() % 5;
	return 1 + (random() % 4 ? KERNEL_BYTES : random() % KERNEL_BYTES);
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	return getenv(name) ? strtoul(getenv(name), NULL, 0) : otherwise;
}

__attribute__((weak)) int main(void)
{
	unsigned long seed = number("SEED", 1), runs = number("RUNS", 0), done;
	time_t end = time(NULL) + number("SECONDS", 5);
	static u8 space[KERNEL_BYTES + 16] __attribute__((aligned(8)));
	u8 *data = space + 7;	/* the file after the first byte is aligned */

	for (done = 0; runs ? done < runs : time(NULL) < end; done++) {
		srandom(seed + done);
		LLVMFuzzerTestOneInput(data, make_input(data));
	}
	printf("1..1\nok 1 - %lu damaged kernels, from seed %lu, are refused or loaded where they may be\n",
	       done, seed);
	return 0;
}
