// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/gdb/packet.c userspace/gdb/registers.c userspace/gdb/breakpoints.c userspace/gdb/session.c userspace/gdb/threads.c userspace/gdb/state.c userspace/gdb/stops.c userspace/gdb/resume.c
/*
 * Any bytes from the other end of a gdb connection: whatever comes, a session takes them
 * all, answers within its buffer (the sanitizers look after that), and asks the target only
 * for what there is.
 *
 * With clang this is a libFuzzer target:
 *
 *	clang -g -O1 -fsanitize=fuzzer,address,undefined -I uapi -I userspace \
 *		selftests/fuzz/fuzz_gdb.c userspace/gdb/{packet,registers,breakpoints,session,threads,state,stops,resume}.c
 *
 * With any compiler it has a main() of its own, that makes up inputs: SEED says
 * from which number on, RUNS how many (0: for SECONDS, 5 unless told).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuzz.h"
#include "gdb/session.h"

#define VCPUS	3
#define MEMORY	256

static struct gdb_registers registers[VCPUS];
static struct gdb_breakpoints breakpoints;
static u8 *memory;
static bool runs;

static int get(void *opaque, u32 vcpu, struct gdb_registers *to)
{
	REQUIRE(vcpu < VCPUS && !runs);
	*to = registers[vcpu];
	return 0;
}

static int set(void *opaque, u32 vcpu, const struct gdb_registers *old, const struct gdb_registers *new)
{
	REQUIRE(vcpu < VCPUS && !runs);
	registers[vcpu] = *new;
	return new->regs.rip & 1 ? -1 : 0;
}

static size_t read_memory(void *opaque, u32 vcpu, u64 gla, void *data, size_t length)
{
	REQUIRE(vcpu < VCPUS && !runs);
	if (gla >= MEMORY)
		return 0;
	length = length < MEMORY - gla ? length : MEMORY - gla;
	memcpy(data, memory + gla, length);
	gdb_breakpoints_hide(&breakpoints, memory + gla, data, length);
	return length;
}

static bool write_memory(void *opaque, u32 vcpu, u64 gla, const void *data, size_t length)
{
	REQUIRE(vcpu < VCPUS && !runs);
	if (gla >= MEMORY || length > MEMORY - gla)
		return false;
	gdb_breakpoints_write(&breakpoints, memory + gla, data, length);
	return true;
}

static enum gdb_inserted insert(void *opaque, u32 vcpu, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	REQUIRE(vcpu < VCPUS && kind < GDB_BREAKPOINTS && !runs);
	if (kind != GDB_SOFTWARE)
		return gdb_hardware_insert(&breakpoints, kind, gla, length);
	return gla < MEMORY ? gdb_software_insert(&breakpoints, gla, memory + gla) : GDB_UNMAPPED;
}

static void remove_breakpoint(void *opaque, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	REQUIRE(kind < GDB_BREAKPOINTS && !runs);
	if (kind == GDB_SOFTWARE)
		gdb_software_remove(&breakpoints, gla);
	else
		gdb_hardware_remove(&breakpoints, kind, gla, length);
}

static void resume(void *opaque, const enum gdb_action actions[GDB_VCPUS])
{
	u32 i, some = 0;

	for (i = 0; i < VCPUS; i++)
		some += actions[i] != GDB_STAY;
	REQUIRE(some && !runs);
	runs = true;
}

static void interrupt(void *opaque)
{
	REQUIRE(runs);
}

static void nothing(void *opaque)
{
	REQUIRE(!runs);
}

static void describe(void *opaque, u32 vcpu, char *text, size_t size)
{
	REQUIRE(vcpu < VCPUS && !runs);
	snprintf(text, size, "vCPU %u", vcpu);
}

static bool monitor(void *opaque, u32 vcpu, const char *command, FILE *file)
{
	REQUIRE(vcpu < VCPUS && !runs);
	fprintf(file, "%s", command);
	return command[0] & 1;
}

static const struct gdb_target target = {
	.vcpus = VCPUS, .get = get, .set = set, .read = read_memory, .write = write_memory,
	.insert = insert, .remove = remove_breakpoint, .resume = resume, .interrupt = interrupt,
	.detach = nothing, .kill = nothing, .describe = describe, .monitor = monitor,
};

static void begin(struct gdb_session *session, u8 mode)
{
	static const struct gdb_stop stop = { .vcpu = 1, .signal = GDB_SIGNAL_TRAP };

	memset(registers, 0, sizeof(registers));
	memset(&breakpoints, 0, sizeof(breakpoints));
	registers[1].sregs.efer = mode & 1 ? 0x500 : 0;
	registers[1].sregs.seg[THV_CS].attributes = mode & 2 ? THV_SEG_L : THV_SEG_DB;
	runs = false;
	REQUIRE(!gdb_session_begin(session, &target, NULL, &stop));
}

/* The first byte says in which mode; the rest comes, and a stop whenever the guest runs too long */
int LLVMFuzzerTestOneInput(const u8 *data, size_t length)
{
	static struct gdb_session session;
	struct gdb_stop stop = { .vcpu = 2, .signal = GDB_SIGNAL_INT };
	u8 *out = malloc(GDB_OUT);
	size_t at = 1, got;

	memory = calloc(1, MEMORY);
	begin(&session, length ? data[0] : 0);
	while (at < length && !session.over) {
		size_t taken = gdb_session_take(&session, data + at, length - at, out, &got);

		REQUIRE(taken && taken <= length - at && got <= GDB_OUT);
		REQUIRE(session.running == runs);
		at += taken;
		if (runs && at % 3 == 0) {
			runs = false;
			REQUIRE(gdb_session_stopped(&session, &stop, out) <= GDB_OUT);
		}
	}
	gdb_breakpoints_clear(&breakpoints);
	gdb_session_end(&session);
	free(memory);
	free(out);
	return 0;
}

#ifndef FUZZING_BUILD_MODE_UNSAFE_FOR_PRODUCTION
/* ---- inputs: packets with right checksums, of words that are known, and noise ---- */

static const char *const words[] = {
	"?", "g", "G", "p", "P", "m", "M", "X", "Z0,", "Z1,", "Z2,", "z0,", "z2,", "c", "s", "C05", "S05",
	"vCont", "vCont?", ";c", ";s:1", ";t", "vKill", "D", "k", "H", "Hg", "Hc", "T", "qC", "qRcmd,",
	"qSupported", "swbreak+", "qfThreadInfo", "qsThreadInfo", "qThreadExtraInfo,", "QStartNoAckMode",
	"qXfer:features:read:target.xml:", "-1", "0", "1", ",", ":", "=", "ff", "ffffffffffffffff", "10,",
	"000000000000000000000", "}", "}\003", "deadbeef",
};

static size_t make_packet(u8 *data)
{
	size_t length = 1, count = 1 + random() % 6;
	u8 sum = 0;
	size_t i;

	data[0] = '$';
	while (count--) {
		const char *word = words[random() % (sizeof(words) / sizeof(*words))];

		memcpy(data + length, word, strlen(word));
		length += strlen(word);
	}
	if (random() % 8 == 0)
		for (i = random() % 1024; i; i--)
			data[length++] = "0123456789abcdef"[random() % 16];
	for (i = 1; i < length; i++)
		sum += data[i];
	return length + sprintf((char *)data + length, "#%02x", random() % 16 ? sum : 0);
}

static size_t make_input(u8 *data)
{
	size_t length = 1, count = random() % 12, i;

	data[0] = random();
	while (count--) {
		if (random() % 4)
			length += make_packet(data + length);
		else
			for (i = random() % 16; i; i--)
				data[length++] = random() % 3 ? "+-$#}\003"[random() % 6] : random();
	}
	return length;
}

static unsigned long number(const char *name, unsigned long otherwise)
{
	return getenv(name) ? strtoul(getenv(name), NULL, 0) : otherwise;
}

int main(void)
{
	unsigned long seed = number("SEED", 1), runs_wanted = number("RUNS", 0), done;
	time_t end = time(NULL) + number("SECONDS", 5);
	static u8 data[64 << 10];

	for (done = 0; runs_wanted ? done < runs_wanted : time(NULL) < end; done++) {
		srandom(seed + done);
		LLVMFuzzerTestOneInput(data, make_input(data));
	}
	printf("1..1\nok 1 - %lu sessions of made-up bytes, from seed %lu\n", done, seed);
	return 0;
}
#endif
