// SPDX-License-Identifier: GPL-2.0-only
// sources: userspace/gdb/packet.c userspace/gdb/registers.c userspace/gdb/breakpoints.c userspace/gdb/session.c userspace/gdb/threads.c userspace/gdb/state.c userspace/gdb/stops.c userspace/gdb/resume.c
/*
 * The remote serial protocol on a made-up machine: framing, each packet, and what a
 * debugger may not do. The other end is this file, not gdb; a real one is in
 * selftests/observe/gdb.sh.
 */
#include <stdlib.h>
#include <string.h>

#include "tap.h"
#include "gdb/session.h"

#define VCPUS	3
#define MEMORY	0x1000	/* bytes, at linear address BASE */
#define BASE	0xffffffff81000000ULL

static struct {
	struct gdb_registers registers[VCPUS];
	u8 memory[MEMORY];
	struct gdb_breakpoints breakpoints;
	enum gdb_action actions[GDB_VCPUS];
	unsigned int resumed, interrupted, detached, killed, refuse;
} fake;

static int get(void *opaque, u32 vcpu, struct gdb_registers *registers)
{
	*registers = fake.registers[vcpu];
	return 0;
}

static int set(void *opaque, u32 vcpu, const struct gdb_registers *old,
	       const struct gdb_registers *new)
{
	if (fake.refuse)
		return -1;
	fake.registers[vcpu] = *new;
	return 0;
}

static size_t read_memory(void *opaque, u32 vcpu, u64 gla, void *data, size_t length)
{
	u64 offset = gla - BASE;

	if (offset >= MEMORY)
		return 0;
	length = length < MEMORY - offset ? length : MEMORY - offset;
	memcpy(data, fake.memory + offset, length);
	gdb_breakpoints_hide(&fake.breakpoints, fake.memory + offset, data, length);
	return length;
}

static bool write_memory(void *opaque, u32 vcpu, u64 gla, const void *data, size_t length)
{
	u64 offset = gla - BASE;

	if (offset >= MEMORY || length > MEMORY - offset)
		return false;
	gdb_breakpoints_write(&fake.breakpoints, fake.memory + offset, data, length);
	return true;
}

static enum gdb_inserted insert(void *opaque, u32 vcpu, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	if (kind != GDB_SOFTWARE)
		return gdb_hardware_insert(&fake.breakpoints, kind, gla, length);
	return gla - BASE < MEMORY ?
	       gdb_software_insert(&fake.breakpoints, gla, fake.memory + (gla - BASE)) : GDB_UNMAPPED;
}

static void remove_breakpoint(void *opaque, enum gdb_breakpoint kind, u64 gla, u64 length)
{
	if (kind == GDB_SOFTWARE)
		gdb_software_remove(&fake.breakpoints, gla);
	else
		gdb_hardware_remove(&fake.breakpoints, kind, gla, length);
}

static void resume(void *opaque, const enum gdb_action actions[GDB_VCPUS])
{
	fake.resumed++;
	memcpy(fake.actions, actions, sizeof(fake.actions));
}

static void interrupt(void *opaque)
{
	fake.interrupted++;
}

static void detach(void *opaque)
{
	fake.detached++;
}

static void kill_machine(void *opaque)
{
	fake.killed++;
}

static void describe(void *opaque, u32 vcpu, char *text, size_t size)
{
	snprintf(text, size, "vCPU %u", vcpu);
}

static bool monitor(void *opaque, u32 vcpu, const char *command, FILE *file)
{
	fprintf(file, "%s of %u", command, vcpu);
	return !strcmp(command, "show");
}

static const struct gdb_target target = {
	.vcpus = VCPUS, .get = get, .set = set, .read = read_memory, .write = write_memory,
	.insert = insert, .remove = remove_breakpoint, .resume = resume, .interrupt = interrupt,
	.detach = detach, .kill = kill_machine, .describe = describe, .monitor = monitor,
};

/* ---- the other end -------------------------------------------------------- */

static struct gdb_session session;
static u8 out[GDB_OUT + 1];
static const struct gdb_stop stopped = { .vcpu = 1, .signal = GDB_SIGNAL_TRAP };

static void begin(void)
{
	int i;

	gdb_session_end(&session);
	memset(&fake, 0, sizeof(fake));
	for (i = 0; i < VCPUS; i++) {
		fake.registers[i].sregs.efer = 0x500;
		fake.registers[i].sregs.seg[THV_CS].attributes = THV_SEG_L;
	}
	for (i = 0; i < MEMORY; i++)
		fake.memory[i] = i;
	gdb_session_begin(&session, &target, NULL, &stopped);
}

/* Bytes in, bytes out, as text */
static const char *bytes(const void *data, size_t length)
{
	size_t taken = 0, got = 0, total = 0;

	while (taken < length && !session.over) {
		taken += gdb_session_take(&session, (const u8 *)data + taken, length - taken,
					  out + total, &got);
		total += got;
	}
	out[total] = 0;
	return (const char *)out;
}

static size_t frame(char *packet, size_t size, const void *text, size_t length)
{
	u8 sum = 0;
	size_t i;

	for (i = 0; i < length; i++)
		sum += ((const u8 *)text)[i];
	packet[0] = '$';
	memcpy(packet + 1, text, length);
	snprintf(packet + 1 + length, size - length - 1, "#%02x", sum);
	return length + 4;
}

/* A packet's answer, without its frame; "?" if the frame is wrong */
static const char *ask_bytes(const void *text, size_t length)
{
	static char packet[2 * GDB_PACKET], again[2 * GDB_PACKET];
	const char *answer = bytes(packet, frame(packet, sizeof(packet), text, length));
	char *end = strchr(answer, '#');

	if (*answer != '+')
		return "?";
	if (!answer[1])
		return "";	/* it runs */
	if (!end)
		return "?";
	frame(again, sizeof(again), answer + 2, end - answer - 2);
	if (strcmp(again, answer + 1))
		return "?";
	*end = 0;
	return answer + 2;
}

static const char *ask(const char *text)
{
	return ask_bytes(text, strlen(text));
}

static void is(const char *question, const char *expected)
{
	const char *answer = ask(question);

	tap_ok(!strcmp(answer, expected), "%s: %s", question, expected);
	if (strcmp(answer, expected))
		printf("# it was: %s\n", answer);
}

/* ---- tests ---------------------------------------------------------------- */

static void test_framing(void)
{
	begin();
	tap_ok(!strcmp(bytes("$?#3f", 5), "+$T05thread:2;#d8"), "a packet is acknowledged and answered");
	tap_ok(!strcmp(bytes("-", 1), "$T05thread:2;#d8"), "... and again on request");
	tap_ok(!strcmp(bytes("$?#40", 5), "-"), "a wrong checksum is refused");
	tap_ok(!strcmp(bytes("$?#zz", 5), "-"), "... one that is none, too");
	tap_ok(!strcmp(bytes("$x$?#3f", 7), "+$T05thread:2;#d8"), "a cut-off packet is forgotten");
	tap_ok(!strcmp(bytes("\003+++garbage", 11), ""), "what is outside of packets says nothing");
	is("QStartNoAckMode", "OK");
	tap_ok(!strcmp(bytes("$?#3f", 5), "$T05thread:2;#d8"), "without acknowledgements, none");
	begin();
	{
		char *much = calloc(1, GDB_PACKET + 100);

		memset(much, 'm', GDB_PACKET + 50);
		tap_ok(!strcmp(ask_bytes(much, GDB_PACKET + 50), "E22"), "a packet that is too long is an error");
		free(much);
	}
	is("nonsense", "");
	is("", "");
}

static void test_session(void)
{
	begin();
	is("qSupported:multiprocess+;swbreak+;hwbreak+",
	   "PacketSize=4000;QStartNoAckMode+;qXfer:features:read+;vContSupported+;swbreak+;hwbreak+");
	is("qAttached", "1");
	is("qC", "QC2");
	is("qfThreadInfo", "m1,2,3");
	is("qsThreadInfo", "l");
	is("qThreadExtraInfo,3", "764350552032");
	is("T3", "OK");
	is("T4", "E22");
	is("Hg3", "OK");
	is("qC", "QC3");
	is("Hg0", "OK");
	is("Hg99", "E22");
	is("qRcmd,73686f77", "73686f77206f662032");
	is("qRcmd,7", "E22");
	is("D", "OK");
	tap_ok(session.over && fake.detached == 1, "detach ends the session");
	begin();
	is("k", "OK");
	tap_ok(session.over && fake.killed == 1, "kill ends the machine");
}

static void test_description(void)
{
	char question[64];
	const char *answer;
	size_t offset = 0, length = strlen(session.description);
	bool same = true;

	begin();
	length = strlen(session.description);
	do {
		snprintf(question, sizeof(question), "qXfer:features:read:target.xml:%zx,3ff", offset);
		answer = ask(question);
		same = same && (*answer == 'm' || *answer == 'l') &&
		       !strncmp(answer + 1, session.description + offset, strlen(answer + 1));
		offset += strlen(answer + 1);
	} while (same && *answer == 'm');
	tap_ok(same && offset == length, "the description comes in parts");
	tap_ok(strstr(session.description, "i386:x86-64") && strstr(session.description, "\"k_gs_base\""),
	       "... and is that of 64-bit mode");
	is("qXfer:features:read:target.xml:ffffffff,10", "l");
	is("qXfer:features:read:other.xml:0,10", "E00");
}

static void test_registers(void)
{
	struct gdb_registers *registers = &fake.registers[1];
	char *all;

	begin();
	registers->regs.gpr[THV_RBX] = 0x1122334455667788;
	registers->regs.rip = BASE;
	registers->sregs.cr3 = 0x1234;
	registers->fpu.xsave[4] = 0;	/* x87: all empty */
	is("p1", "8877665544332211");
	is("p10", "00000081ffffffff");
	is("p22", "ffff0000");		/* ftag */
	is("P10=0100000000000000", "OK");
	tap_is(registers->regs.rip, 1, "a register is written");
	is("P0=01", "E22");
	is("pffff", "E22");
	is("p", "E22");
	fake.refuse = 1;
	is("P10=0200000000000000", "E22");
	fake.refuse = 0;
	all = strdup(ask("g"));
	tap_is(strlen(all), 2 * (16 * 8 + 8 + 4 + 24 + 80 + 32 + 256 + 4 + 16 + 11 * 8), "all registers have their bytes");
	memcpy(all, "efcdab8967452301", 16);
	{
		char *packet = malloc(strlen(all) + 2);

		sprintf(packet, "G%s", all);
		tap_ok(!strcmp(ask(packet), "OK"), "all registers are written");
		packet[strlen(packet) - 2] = 0;
		tap_ok(!strcmp(ask(packet), "E22"), "... but not some of them");
		free(packet);
	}
	tap_ok(registers->regs.gpr[THV_RAX] == 0x0123456789abcdef &&
	       registers->regs.gpr[THV_RBX] == 0x1122334455667788 && registers->sregs.cr3 == 0x1234,
	       "... each where it belongs");
	free(all);
	registers->sregs.seg[THV_CS].attributes = THV_SEG_DB;
	tap_is(gdb_mode(&registers->sregs), GDB_32, "a 32-bit segment is 32-bit mode");
	registers->sregs.efer = 0;
	gdb_session_end(&session);
	gdb_session_begin(&session, &target, NULL, &stopped);
	tap_ok(strstr(session.description, ">i386<") && strstr(session.description, "\"eip\""),
	       "... and has a description of its own");
	is("p8", "01000000");
}

static void test_memory(void)
{
	begin();
	is("mffffffff81000010,4", "10111213");
	is("mffffffff81000ffe,4", "feff");
	is("mffffffff80fffffe,4", "E14");
	is("m0,4", "E14");
	is("m0,0", "");
	is("m0", "E22");
	is("m11112222333344445,1", "E22");
	is("Mffffffff81000010,2:abcd", "OK");
	tap_ok(fake.memory[0x10] == 0xab && fake.memory[0x11] == 0xcd, "memory is written");
	is("Mffffffff81000010,2:ab", "E22");
	is("Mffffffff81000010,ffffffffffffffff:ab", "E22");
	is("M0,1:ab", "E14");
	/* } # and a zero, escaped */
	tap_ok(!strcmp(ask_bytes("Xffffffff81000020,3:\x7d\x5d\x7d\x03\0", 25), "OK") &&
	       !memcmp(fake.memory + 0x20, "}#\0", 3), "... in binary, too");
	is("Xffffffff81000020,3:ab", "E22");
	tap_is(strlen(ask("mffffffff81000000,fffffff")), 2 * MEMORY, "a long read ends with the memory");
}

static void test_breakpoints(void)
{
	struct thv_debug_guest debug;

	begin();
	is("Z0,ffffffff81000010,1", "OK");
	is("Z0,ffffffff81000010,1", "OK");
	is("Z0,0,1", "E14");
	tap_is(fake.memory[0x10], 0xcc, "a breakpoint is in memory");
	is("mffffffff8100000f,3", "0f1011");
	is("Mffffffff8100000f,3:aabbcc", "OK");
	tap_is(fake.memory[0x10], 0xcc, "... stays there when memory is written");
	is("mffffffff8100000f,3", "aabbcc");
	is("z0,ffffffff81000010,1", "OK");
	tap_is(fake.memory[0x10], 0xbb, "... and gives back what was written");
	is("z0,ffffffff81000010,1", "OK");
	is("Z0,ffffffff81000010,1", "OK");
	fake.memory[0x10] = 0x90;
	is("z0,ffffffff81000010,1", "OK");
	tap_is(fake.memory[0x10], 0x90, "what the guest wrote over it stays");

	is("Z1,ffffffff81000000,1", "OK");
	is("Z2,1000,8", "OK");
	is("Z3,2000,2", "OK");
	is("Z4,3000,4", "OK");
	is("Z2,1000,8", "OK");
	is("Z1,4000,1", "E28");
	gdb_breakpoints_debug(&fake.breakpoints, &debug);
	tap_is(debug.flags, THV_DEBUG_HARDWARE, "hardware breakpoints want the registers");
	tap_is(debug.dr7, 0xf79000aa, "... in DR7's form");
	is("z2,1000,4", "OK");
	is("Z1,4000,1", "E28");
	is("z2,1000,8", "OK");
	is("Z1,4000,1", "OK");
	is("z4,3000,4", "OK");
	is("Z2,1001,2", "E22");
	is("Z2,1000,3", "E22");
	is("Z2,1000,10", "E22");
	is("Z2,8000000000000000,1", "E22");
	is("Z5,1000,1", "E22");
	is("Z2,1000", "E22");
}

static void test_many_breakpoints(void)
{
	char packet[64];
	int i;

	begin();
	for (i = 0; i < GDB_SOFTWARE_BREAKPOINTS; i++) {
		snprintf(packet, sizeof(packet), "Z0,%llx,1", BASE + i);
		tap_check(!strcmp(ask(packet), "OK"), "breakpoint %d", i);
	}
	tap_ok(tap_held(), "%d breakpoints fit", i);
	is("Z0,ffffffff81000800,1", "E28");
	gdb_breakpoints_clear(&fake.breakpoints);
	for (i = 0; i < MEMORY; i++)
		tap_check(fake.memory[i] == (u8)i, "byte %d", i);
	tap_ok(tap_held(), "... and leave nothing behind");
}

static void runs(const char *packet, enum gdb_action a, enum gdb_action b, enum gdb_action c)
{
	unsigned int before = fake.resumed;

	ask(packet);
	tap_ok(fake.resumed == before + 1 && session.running && fake.actions[0] == a &&
	       fake.actions[1] == b && fake.actions[2] == c, "%s lets the right ones run", packet);
	gdb_session_stopped(&session, &stopped, out);
}

static void test_running(void)
{
	struct gdb_stop stop = { .vcpu = 2, .signal = GDB_SIGNAL_TRAP, .cause = GDB_AT_HARDWARE,
				 .hit = { GDB_WRITE, 0x1234, 4 } };

	begin();
	is("vCont?", "vCont;c;C;s;S;t");
	runs("c", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	runs("s", GDB_STAY, GDB_STEP, GDB_STAY);
	runs("C05", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	runs("S05", GDB_STAY, GDB_STEP, GDB_STAY);
	runs("vCont;c", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	runs("vCont;s:1;c", GDB_STEP, GDB_CONTINUE, GDB_CONTINUE);
	runs("vCont;s:1", GDB_STEP, GDB_STAY, GDB_STAY);
	runs("vCont;C05:2;t", GDB_STAY, GDB_CONTINUE, GDB_STAY);
	runs("vCont;c:-1", GDB_CONTINUE, GDB_CONTINUE, GDB_CONTINUE);
	is("vCont;t", "E22");
	is("vCont", "E22");
	is("vCont;x", "E22");
	is("vCont;c:9", "E22");
	is("c1000", "E22");
	ask("c");
	tap_ok(!strcmp(bytes("$g#67", 5), "+"), "while it runs nothing is answered");
	bytes("\003", 1);
	tap_is(fake.interrupted, 1, "... and an interrupt is passed on");
	out[gdb_session_stopped(&session, &stop, out)] = 0;
	tap_ok(!strncmp((char *)out, "$T05thread:3;watch:1234;#", 25), "a watchpoint is told");
	tap_is(session.vcpu, 2, "... and its vCPU looked at");
	stop.hit.kind = GDB_EXECUTE;
	ask("c");
	out[gdb_session_stopped(&session, &stop, out)] = 0;
	tap_ok(!strncmp((char *)out, "$T05thread:3;#", 14), "a hardware breakpoint is not told who did not ask");
	ask("qSupported:hwbreak+;swbreak+");
	ask("c");
	out[gdb_session_stopped(&session, &stop, out)] = 0;
	tap_ok(!strncmp((char *)out, "$T05thread:3;hwbreak:;#", 23), "... and told who did");
	ask("c");
	out[gdb_session_ended(&session, 7, 0, out)] = 0;
	tap_ok(!strncmp((char *)out, "$W07#", 5), "the end is told with its status");
	begin();
	ask("c");
	out[gdb_session_ended(&session, 143, 15, out)] = 0;
	tap_ok(!strncmp((char *)out, "$X0f#", 5), "... or its signal");
	begin();
	ask("c");
	out[gdb_session_say(&session, "hi", out)] = 0;
	tap_ok(!strncmp((char *)out, "$O6869#", 7), "text is shown");
}

int main(void)
{
	test_framing();
	test_session();
	test_description();
	test_registers();
	test_memory();
	test_breakpoints();
	test_many_breakpoints();
	test_running();
	gdb_session_end(&session);
	return tap_done();
}
