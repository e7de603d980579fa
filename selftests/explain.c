// SPDX-License-Identifier: GPL-2.0-only
/*
 * Why an entry failed: THV_EXPLAIN and what the launcher and the log are told; and, with a debug build of
 * the module (make THV_DEBUG=1), whether the rules of module/vmx/explain.c and the processor are of one
 * mind: each field of the guest's state is changed, then some at a time, and the two verdicts compared.
 *
 * THV_EXPLAIN_PAIRS: how many random changes to try of each state (2,000); THV_EXPLAIN_SEED: from which
 * seed. What the emulator is known to get wrong is in lib/known_defects.h.
 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/klog.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "lib/known_defects.h"
#include "module/debug_ioctl.h"
#include "module/vmx/fields.h"
#include "guests/inspect.h"
#include "guests/smoke.h"

GUEST(inspect);
GUEST(smoke);

#define CR4_PAE		BIT(5)
#define RFLAGS_VM	BIT(17)
#define TEXT		4096

FIXTURE(explain) {
	struct vm *vm;
	struct vcpu *vcpu;
	int control;
};

FIXTURE_SETUP(explain)
{
	self->vm = vm_create(smoke);
	self->vcpu = self->vm->vcpu;
	self->control = must(thv_ioctl(thv_device(), THV_OPEN_VM,
				       &(struct thv_open_vm){ .id = self->vm->id }));
}

FIXTURE_TEARDOWN(explain)
{
	vm_close(self->vm);
}

/* How many rules are broken, or -errno */
static int explain_at(int fd, u32 vcpu, char *text, size_t size)
{
	struct thv_explain args = { .vcpu = vcpu, .text = (uintptr_t)text, .size = size };
	int result = thv_ioctl(fd, THV_EXPLAIN, &args);

	return result < 0 ? result : (int)args.count;
}

static int explain(struct vcpu *vcpu, char *text, size_t size)
{
	return explain_at(vcpu->fd, 0, text, size);
}

/* A state that THV_SET_STATE does not see through: CS is nonconforming code of another privilege */
static void make_impossible(struct vcpu *vcpu)
{
	struct thv_sregs sregs;

	must_get(vcpu, THV_STATE_SREGS, &sregs);
	sregs.seg[THV_CS].attributes |= 3 << 5;
	must_set(vcpu, THV_STATE_SREGS, &sregs);
}

#define SENTENCE "CS.DPL is not SS.DPL although CS is nonconforming code (SDM 27.3.1.2)"

TEST_F(explain, a_good_state_breaks_no_rule)
{
	char text[TEXT];

	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
	EXPECT_STREQ("", text);
	EXPECT_EQ(5, guest_call(self->vcpu, guest_smoke_sum, 2, 3));
	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
	vcpu_mode32(self->vcpu, GUEST_PDPT_PAE, CR4_PAE, true);
	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
	vcpu_mode32(self->vcpu, 0, 0, false);
	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
}

TEST_F(explain, real_mode_breaks_no_rule)
{
	char text[TEXT];

	REQUIRE_FEATURE(UNRESTRICTED);
	vcpu_mode16(self->vcpu);
	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
}

TEST_F(explain, a_refused_entry_is_explained_and_the_vm_goes_on_after_repair)
{
	struct thv_run *run = self->vcpu->run;
	struct thv_sregs good;
	char text[TEXT];

	must_get(self->vcpu, THV_STATE_SREGS, &good);
	make_impossible(self->vcpu);
	guest_start(self->vcpu, guest_smoke_sum, 2, 3);
	run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	EXPECT_EQ(0x80000021, run->fail_entry.hardware_reason);
	EXPECT_EQ(1, run->fail_entry.rules);
	EXPECT_EQ(1, explain(self->vcpu, text, TEXT));
	EXPECT_EQ(0, strncmp(text, SENTENCE, strlen(SENTENCE))) TH_LOG("%s", text);
	must_set(self->vcpu, THV_STATE_SREGS, &good);
	EXPECT_EQ(0, explain(self->vcpu, text, TEXT)) TH_LOG("%s", text);
	EXPECT_EQ(5, guest_call(self->vcpu, guest_smoke_sum, 2, 3));
}

TEST_F(explain, a_state_is_explained_before_it_is_entered)
{
	char text[TEXT];

	make_impossible(self->vcpu);
	EXPECT_EQ(1, explain(self->vcpu, text, TEXT));
	EXPECT_EQ(0, strncmp(text, SENTENCE, strlen(SENTENCE))) TH_LOG("%s", text);
}

TEST_F(explain, another_process_is_told_the_same)
{
	char text[TEXT], inside[TEXT];
	int status;
	pid_t pid;

	make_impossible(self->vcpu);
	EXPECT_EQ(1, explain(self->vcpu, inside, TEXT));
	pid = fork();
	if (!pid)
		_exit(explain_at(self->control, 0, text, TEXT) != 1 || strcmp(text, inside));
	EXPECT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	EXPECT_EQ(-ENOENT, explain_at(self->control, 1, text, TEXT));
	EXPECT_EQ(-ENOENT, explain_at(self->control, ~0U, text, TEXT));
}

static void *run_forever(void *arg)
{
	struct vcpu *vcpu = arg;

	while (!vcpu_run(vcpu) && vcpu->run->exit != THV_EXIT_STOPPED)
		;
	return NULL;
}

TEST_F(explain, a_guest_that_runs_is_asked_about_and_goes_on)
{
	volatile u64 *shared = &self->vm->record->shared;
	u64 since = now_us(), before;
	char text[TEXT];
	pthread_t thread;
	int i;

	vm_load(self->vm, guest_inspect, guest_inspect_end);
	guest_start(self->vcpu, guest_inspect_spin, GUEST_DATA);
	ASSERT_EQ(0, pthread_create(&thread, NULL, run_forever, self->vcpu));
	for (i = 0; i < 10; i++) {
		before = *shared;
		while (*shared == before)
			ASSERT_GT(20000000, now_us() - since);
		EXPECT_EQ(0, explain_at(self->control, 0, text, TEXT)) TH_LOG("%s", text);
		EXPECT_EQ(-EBUSY, explain(self->vcpu, text, TEXT));
	}
	must(thv_ioctl(self->control, THV_CONTROL, &(struct thv_control){ .state = THV_VM_STOPPED }));
	EXPECT_EQ(0, pthread_join(thread, NULL));
}

/* The event goes into the VMCS only with the entry, and is taken back when that fails */
TEST_F(explain, an_event_that_cannot_be_delivered_is_explained)
{
	struct thv_event_state events;
	char text[TEXT];

	must_get(self->vcpu, THV_STATE_EVENTS, &events);
	events.flags |= THV_EVENT_EXCEPTION;
	events.exception_vector = 13;
	must_set(self->vcpu, THV_STATE_EVENTS, &events);
	if (explain(self->vcpu, text, TEXT) == 0)
		SKIP(return, "THV_SET_STATE made a good event of it");
	EXPECT_NE(NULL, strstr(text, "the exception to be delivered lacks its error code (SDM 27.2.1.3)"))
		TH_LOG("%s", text);
	EXPECT_EQ(0, vcpu_run(self->vcpu));
	EXPECT_EQ(THV_EXIT_FAIL_ENTRY, self->vcpu->run->exit);
	EXPECT_EQ(7, self->vcpu->run->fail_entry.instruction_error);
	EXPECT_EQ(1, self->vcpu->run->fail_entry.rules);
	EXPECT_EQ(1, explain(self->vcpu, text, TEXT));
}

/* How often does the kernel log say this? -errno: it cannot be read */
static int times_logged(const char *words)
{
	static char log[1 << 20];
	int times = 0, n = klogctl(3, log, sizeof(log) - 1);
	const char *at;

	if (n < 0)
		return -errno;
	log[n] = 0;
	for (at = log; (at = strstr(at, words)); at++)
		times++;
	return times;
}

/* Tests before this one may have used up what the log takes in five seconds */
TEST_F(explain, a_refused_entry_is_in_the_kernel_log)
{
	u64 since = now_us();
	char line[128];
	int logged;

	snprintf(line, sizeof(line), "thv: VM %u (vm-%u), vCPU 0: entry refused: " SENTENCE, self->vm->id,
		 self->vm->id);
	make_impossible(self->vcpu);
	do {
		run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
		logged = times_logged(line);
		if (logged < 0)
			SKIP(return, "the kernel log is not readable here");
	} while (!logged && now_us() - since < 30000000 && !usleep(200000));
	EXPECT_LT(0, logged);
}

TEST_F(explain, a_launcher_that_repeats_what_is_refused_does_not_fill_the_log)
{
	char line[128];
	int i, logged;

	make_impossible(self->vcpu);
	for (i = 0; i < 1000; i++)
		run_until(self->vcpu, THV_EXIT_FAIL_ENTRY);
	snprintf(line, sizeof(line), "thv: VM %u (vm-%u), vCPU 0: entry refused: ", self->vm->id, self->vm->id);
	logged = times_logged(line);
	if (logged < 0)
		SKIP(return, "the kernel log is not readable here");
	EXPECT_LT(logged, 100);
}

TEST_F(explain, text_ends_with_the_room_for_it)
{
	char text[TEXT];

	make_impossible(self->vcpu);
	memset(text, 'x', sizeof(text));
	EXPECT_EQ(1, explain(self->vcpu, NULL, 0));
	EXPECT_EQ(1, explain(self->vcpu, text, 1));
	EXPECT_EQ(0, text[0]);
	EXPECT_EQ('x', text[1]);
	EXPECT_EQ(1, explain(self->vcpu, text, strlen(SENTENCE)));
	EXPECT_EQ(0, text[0]);
	EXPECT_EQ('x', text[1]);
}

TEST_F(explain, bad_arguments_are_refused)
{
	struct thv_explain args = { .vcpu = 1 };

	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_EXPLAIN, &args));
	args = (struct thv_explain) { .reserved = 1 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_EXPLAIN, &args));
	args = (struct thv_explain) { .size = 65537 };
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vcpu->fd, THV_EXPLAIN, &args));
	args = (struct thv_explain) { .size = 65536, .text = 8 };
	EXPECT_EQ(-EFAULT, thv_ioctl(self->vcpu->fd, THV_EXPLAIN, &args));
}

/* ---- the rules against the processor ---- */

#define FIELD(symbol, number, text) { number, text },
static const struct field {
	u32 encoding;
	const char *name;
} fields[] = { VMX_FIELDS(FIELD, FIELD) };
#undef FIELD

#define FIELDS	ARRAY_SIZE(fields)

#define GUEST_CS		0x0802
#define GUEST_SS		0x0804
#define LINK_POINTER		0x2800
#define GUEST_DEBUGCTL		0x2802
#define GUEST_EFER		0x2806
#define ENTRY_CONTROLS		0x4012
#define INTERRUPTION_INFO	0x4016
#define ERROR_CODE		0x4018
#define INSTRUCTION_LENGTH	0x401a
#define GUEST_SS_LIMIT		0x4804
#define GUEST_CS_RIGHTS		0x4816
#define GUEST_SS_RIGHTS		0x4818
#define INTERRUPTIBILITY	0x4824
#define ACTIVITY_STATE		0x4826
#define GUEST_CR0		0x6800
#define GUEST_CR4		0x6804
#define GUEST_SS_BASE		0x680a
#define GUEST_RFLAGS		0x6820
#define PENDING_DEBUG		0x6822
#define HOST_RIP		0x6c16

#define ACTIVITY_WAIT_SIPI	3

/* What is compared: the guest's state, and what an entry brings with it */
static bool is_tried(const struct field *field)
{
	return VMX_FIELD_TYPE(field->encoding) == VMX_GUEST || field->encoding == ENTRY_CONTROLS ||
	       field->encoding == INTERRUPTION_INFO || field->encoding == ERROR_CODE ||
	       field->encoding == INSTRUCTION_LENGTH;
}

static unsigned int bits_of(const struct field *field)
{
	static const unsigned int bits[] = {
		[VMX_WIDTH_16] = 16, [VMX_WIDTH_32] = 32, [VMX_WIDTH_64] = 64, [VMX_WIDTH_NATURAL] = 64,
	};

	return bits[VMX_FIELD_WIDTH(field->encoding)];
}

/* What a boot's comparisons come to; of one state */
struct tally {
	unsigned int tried, refused, excused, wrong, ran;
	bool shown[ENTRY_DEFECTS], refusal[ENTRY_REFUSALS];
	u8 complaints[FIELDS];
};

static u64 state[FIELDS];	/* that was tried last and told in words */

static int ask(struct vcpu *vcpu, struct thv_debug_try *try, char *text)
{
	try->text = (uintptr_t)text;
	try->size = text ? TEXT : 0;
	try->state = text ? (uintptr_t)state : 0;
	return thv_ioctl(vcpu->fd, THV_DEBUG_TRY, try);
}

/* Does a wrong value of it end the emulator, perhaps? */
static bool is_hot(const struct thv_field *field)
{
	static const u32 hot[] = { INTERRUPTION_INFO, ENTRY_CONTROLS, GUEST_CR0, GUEST_EFER, GUEST_RFLAGS };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(hot); i++)
		if (field->field == hot[i])
			return true;
	return false;
}

/* Not tried: what the rules don't know because it is in memory, and what ends the emulator */
static bool left_out(struct vcpu *vcpu, const struct thv_debug_try *try)
{
	struct thv_debug_try dry = *try;
	unsigned int i;
	bool hot = false;
	u64 value;

	for (i = 0; i < try->count; i++) {
		hot |= is_hot(&try->field[i]);
		value = try->flip & BIT(i) ? ~try->field[i].value : try->field[i].value;
		if (try->field[i].field == LINK_POINTER && !(value & 0xfff))
			return true;
	}
	if (!hot || !on_bochs_2_7())
		return false;
	dry.dry = 1;
	dry.state = (uintptr_t)state;
	return !thv_ioctl(vcpu->fd, THV_DEBUG_TRY, &dry) && entry_panics(state);
}

static bool refuses_too_much(struct tally *tally)
{
	unsigned int i;

	for (i = 0; i < ENTRY_REFUSALS; i++)
		if (entry_refusals[i].shows(state)) {
			tally->refusal[i] = true;
			return true;
		}
	return false;
}

/* Are all broken rules ones that the emulator does not know? */
static bool excused(struct tally *tally, const struct thv_debug_try *try, const char *text)
{
	const char *line, *end;
	unsigned int i;

	if (!on_bochs_2_7())
		return false;
	if (!try->rules)
		return refuses_too_much(tally);
	for (line = text; *line; line = end + 1) {
		end = strchr(line, '\n');
		for (i = 0; i < ENTRY_DEFECTS; i++)
			if (!strncmp(line, entry_defects[i].rule, strlen(entry_defects[i].rule)) &&
			    entry_defects[i].shows(state))
				break;
		if (i == ENTRY_DEFECTS)
			return false;
		tally->shown[i] = true;
	}
	return true;
}

static unsigned int place_of(u32 encoding)
{
	unsigned int i = 0;

	while (fields[i].encoding != encoding)
		i++;
	return i;
}

static const char *name_of(u32 encoding)
{
	return fields[place_of(encoding)].name;
}

/* A few for each field */
static void complain(struct tally *tally, const struct thv_debug_try *try, const char *text)
{
	unsigned int i;

	if (tally->complaints[place_of(try->field[0].field)]++ >= 3)
		return;
	fprintf(stderr, "# the processor %s (reason %#x, error %u), the rules say %u broken:\n",
		try->entered ? "entered" : "refused", try->reason, try->instruction_error, try->rules);
	for (i = 0; i < try->count; i++)
		fprintf(stderr, "#   %s %s %#llx\n", name_of(try->field[i].field),
			try->flip & BIT(i) ? "flipped by" : "=", try->field[i].value);
	fprintf(stderr, "#   %s", *text ? text : "no rule\n");
}

/* The guest itself, where it is in 64-bit mode; else an entry into the state as it was */
static void still_runs(struct tally *tally, struct vcpu *vcpu)
{
	struct thv_debug_try unchanged = {};

	must(ask(vcpu, &unchanged, NULL));
	if (!unchanged.entered || unchanged.rules)
		fail("after a refused entry the state is not as it was: reason %#x", unchanged.reason);
	tally->ran++;
}

static void compare(struct tally *tally, struct vcpu *vcpu, struct thv_debug_try *try)
{
	char text[TEXT] = "";
	int result;

	if (left_out(vcpu, try))
		return;
	result = ask(vcpu, try, NULL);
	if (result == -ENXIO)
		return;		/* no such field on this processor */
	must(result);
	tally->tried++;
	tally->refused += !try->entered;
	if (!try->entered)
		still_runs(tally, vcpu);
	if (try->entered == !try->rules)
		return;
	must(ask(vcpu, try, text));
	if (excused(tally, try, text)) {
		tally->excused++;
		return;
	}
	tally->wrong++;
	complain(tally, try, text);
}

static void try_one(struct tally *tally, struct vcpu *vcpu, const struct field *field, u64 value, bool flip)
{
	struct thv_debug_try try = {
		.count = 1, .flip = flip, .field[0] = { .field = field->encoding, .value = value },
	};

	if (field->encoding == ACTIVITY_STATE && value == ACTIVITY_WAIT_SIPI)
		return;		/* nothing ends it: refused by the module */
	compare(tally, vcpu, &try);
}

static const u64 values[] = {
	0, 1, 2, ~0ULL, 0x7fffffffffffffffULL, 0x8000000000000000ULL, 0x00007fffffffffffULL,
	0x0000800000000000ULL, 0xffff7fffffffffffULL, 0xffff800000000000ULL, 0x100000000ULL,
	0xfffffffffULL, 0x80000000ULL, 0xf3, 0x93, 0x9b, 0xfb, 0xff, 0x82, 0x8b, 0x83, 0x10000, 0xfff,
};

/* Events: each type with vectors on both sides of its rules, with and without error code */
static void try_events(struct tally *tally, struct vcpu *vcpu, const struct field *field)
{
	static const u8 vectors[] = { 0, 1, 2, 3, 6, 8, 13, 14, 17, 18, 21, 31, 32, 255 };
	unsigned int i, type;

	for (type = 0; type < 8; type++)
		for (i = 0; i < ARRAY_SIZE(vectors); i++) {
			try_one(tally, vcpu, field, BIT(31) | type << 8 | vectors[i], false);
			try_one(tally, vcpu, field, BIT(31) | BIT(11) | type << 8 | vectors[i], false);
		}
}

static void try_field(struct tally *tally, struct vcpu *vcpu, const struct field *field)
{
	unsigned int i;

	for (i = 0; i < bits_of(field); i++) {
		try_one(tally, vcpu, field, BIT(i), true);
		try_one(tally, vcpu, field, BIT(i), false);
	}
	for (i = 0; i < ARRAY_SIZE(values); i++)
		try_one(tally, vcpu, field, values[i], false);
	if (field->encoding == INTERRUPTION_INFO)
		try_events(tally, vcpu, field);
}

static u64 random64(void)
{
	return (u64)random() << 42 ^ (u64)random() << 21 ^ random();
}

static u64 random_value(const struct field *field)
{
	switch (random() % 4) {
	case 0:
		return values[random() % ARRAY_SIZE(values)];
	case 1:
		return field->encoding == INTERRUPTION_INFO ? BIT(31) | (random64() & 0xf1f) : random64();
	default:
		return BIT(random() % bits_of(field));
	}
}

/* Two fields at a time, or three */
static void try_some(struct tally *tally, struct vcpu *vcpu)
{
	struct thv_debug_try try = { .count = 2 + !(random() % 4) };
	const struct field *field;
	unsigned int i;

	for (i = 0; i < try.count; i++) {
		do
			field = &fields[random() % FIELDS];
		while (!is_tried(field));
		try.field[i].field = field->encoding;
		try.field[i].value = random_value(field);
		if (random() % 2)
			try.flip |= BIT(i);
		if (field->encoding == ACTIVITY_STATE)
			try.field[i].value = random() % 3, try.flip &= ~BIT(i);
	}
	compare(tally, vcpu, &try);
}

/* ---- fields that rules hold against each other: all combinations ---- */

#define DIMENSIONS	5

/* A field, and values for it, or bits of it to flip */
struct dimension {
	u32 encoding;
	bool flip;
	u8 count;
	u32 values[24];
};

#define EACH(encoding, flip, ...) \
	{ encoding, flip, sizeof((u32[]){ __VA_ARGS__ }) / sizeof(u32), { __VA_ARGS__ } }

static const struct dimension groups[][DIMENSIONS] = {
	{	/* events, and what may forbid them */
		EACH(INTERRUPTION_INFO, false, 0, 0x80000020, 0x80000012, 0x80000202, 0x80000301, 0x80000306,
		     0x80000312, 0x80000b0d, 0x80000480, 0x80000603),
		EACH(ACTIVITY_STATE, false, 0, 1, 2),
		EACH(INTERRUPTIBILITY, false, 0, 1, 2, 3, 8, 0x10),
		EACH(GUEST_RFLAGS, true, 0, BIT(9)),
		EACH(INSTRUCTION_LENGTH, false, 1),
	},
	{	/* single steps that wait */
		EACH(PENDING_DEBUG, false, 0, 0x4000, 0x1001, 0x5001, 0x11000, 0x800),
		EACH(GUEST_RFLAGS, true, 0, BIT(8), BIT(9), BIT(8) | BIT(9)),
		EACH(INTERRUPTIBILITY, false, 0, 1, 2),
		EACH(ACTIVITY_STATE, false, 0, 1),
		EACH(GUEST_DEBUGCTL, false, 0, 2),
	},
	{	/* privilege: types and DPLs of CS and SS */
		EACH(GUEST_CS_RIGHTS, true, 0, 2, 4, 6, 8, 0x20, 0x22, 0x24, 0x26, 0x28, 0x40, 0x44,
		     0x60, 0x62, 0x64, 0x66, 0x68),
		EACH(GUEST_SS_RIGHTS, true, 0, 0x20, 0x40, 0x60),
		EACH(GUEST_CS, true, 0, 3),
		EACH(GUEST_SS, true, 0, 3),
		EACH(ACTIVITY_STATE, false, 0, 1),
	},
	{	/* modes */
		EACH(GUEST_CR0, true, 0, BIT(0), BIT(31), BIT(31) | BIT(0)),
		EACH(ENTRY_CONTROLS, true, 0, BIT(9)),
		EACH(GUEST_EFER, true, 0, BIT(8), BIT(10), BIT(8) | BIT(10)),
		EACH(GUEST_CR4, true, 0, BIT(5), BIT(17)),
		EACH(GUEST_RFLAGS, true, 0, BIT(17)),
	},
	{	/* a null SS, usable */
		EACH(GUEST_SS, false, 0, 3, 4),
		EACH(GUEST_SS_RIGHTS, true, 0, 1, 2, 8, 0x10, 0x80, 0x100, 0x8000, 0x10000, 0x20000),
		EACH(GUEST_CS_RIGHTS, true, 0, BIT(13), BIT(14), BIT(13) | BIT(14)),
		EACH(GUEST_SS_BASE, false, 0, 0x10000),
		EACH(GUEST_SS_LIMIT, true, 0, 1),
	},
};

static void try_group(struct tally *tally, struct vcpu *vcpu, const struct dimension *group)
{
	unsigned int i, n, rest, combinations = 1;

	for (i = 0; i < DIMENSIONS; i++)
		combinations *= group[i].count;
	for (n = 0; n < combinations; n++) {
		struct thv_debug_try try = { .count = DIMENSIONS };

		for (i = 0, rest = n; i < DIMENSIONS; rest /= group[i++].count) {
			try.field[i].field = group[i].encoding;
			try.field[i].value = group[i].values[rest % group[i].count];
			try.flip |= group[i].flip << i;
		}
		compare(tally, vcpu, &try);
	}
}

static unsigned int setting(const char *name, unsigned int otherwise)
{
	const char *value = getenv(name);

	return value ? strtoul(value, NULL, 0) : otherwise;
}

/* Is there something to compare with? */
static bool can_try(struct vcpu *vcpu)
{
	struct thv_debug_try try = {};
	int result = ask(vcpu, &try, NULL);

	return result != -ENOTTY && result != -EOPNOTSUPP;
}

#define REQUIRE_TRY(vcpu)									\
	do {											\
		if (!can_try(vcpu))								\
			SKIP(return, "no debug build of the module (make THV_DEBUG=1), or no preemption timer"); \
	} while (0)

static void report_defects(const struct tally *tally)
{
	unsigned int i;

	for (i = 0; on_bochs_2_7() && i < ENTRY_DEFECTS; i++)
		if (!tally->shown[i])
			fprintf(stderr, "# a known defect that did not show here: %s\n", entry_defects[i].rule);
	for (i = 0; on_bochs_2_7() && i < ENTRY_REFUSALS; i++)
		if (!tally->refusal[i])
			fprintf(stderr, "# a known defect that did not show here: %s\n", entry_refusals[i].what);
}

static struct tally try_state(struct vcpu *vcpu)
{
	unsigned int i, some = setting("THV_EXPLAIN_PAIRS", 2000);
	struct tally tally = {};
	struct thv_debug_try unchanged = {};
	char text[TEXT];

	must(ask(vcpu, &unchanged, text));
	if (!unchanged.entered || unchanged.rules)
		fail("the state as it is: reason %#x, %u rules: %s", unchanged.reason, unchanged.rules, text);
	srandom(setting("THV_EXPLAIN_SEED", 1));
	for (i = 0; i < FIELDS; i++)
		if (is_tried(&fields[i]))
			try_field(&tally, vcpu, &fields[i]);
	for (i = 0; i < ARRAY_SIZE(groups); i++)
		try_group(&tally, vcpu, groups[i]);
	for (i = 0; i < some; i++)
		try_some(&tally, vcpu);
	fprintf(stderr, "# %u states tried, %u refused and repaired, %u excused, %u not agreed on\n",
		tally.tried, tally.refused, tally.excused, tally.wrong);
	return tally;
}

TEST_F_TIMEOUT(explain, rules_and_processor_agree_on_64_bit_states, 600)
{
	struct tally tally;

	REQUIRE_TRY(self->vcpu);
	tally = try_state(self->vcpu);
	report_defects(&tally);		/* most of them can be met in this mode */
	EXPECT_EQ(0, tally.wrong);
	EXPECT_LT(1000, tally.refused);
	EXPECT_EQ(tally.refused, tally.ran);
	EXPECT_EQ(5, guest_call(self->vcpu, guest_smoke_sum, 2, 3));
}

TEST_F_TIMEOUT(explain, rules_and_processor_agree_on_32_bit_states, 600)
{
	struct tally tally;

	REQUIRE_TRY(self->vcpu);
	vcpu_mode32(self->vcpu, GUEST_PDPT_PAE, CR4_PAE, true);
	tally = try_state(self->vcpu);
	EXPECT_EQ(0, tally.wrong);
	EXPECT_LT(1000, tally.refused);
	vcpu_mode64(self->vcpu);
	EXPECT_EQ(5, guest_call(self->vcpu, guest_smoke_sum, 2, 3));
}

TEST_F_TIMEOUT(explain, rules_and_processor_agree_on_virtual_8086_states, 600)
{
	struct thv_sregs sregs;
	struct thv_regs regs;
	struct tally tally;
	int i;

	REQUIRE_TRY(self->vcpu);
	vcpu_mode32(self->vcpu, GUEST_PDPT_PAE, CR4_PAE, true);
	must_get(self->vcpu, THV_STATE_SREGS, &sregs);
	for (i = THV_ES; i <= THV_GS; i++)
		sregs.seg[i] = (struct thv_segment) {
			.selector = 0x1000, .base = 0x10000, .limit = 0xffff, .attributes = 0xf3,
		};
	must_set(self->vcpu, THV_STATE_SREGS, &sregs);
	must_get(self->vcpu, THV_STATE_REGS, &regs);
	regs.rflags |= RFLAGS_VM;
	must_set(self->vcpu, THV_STATE_REGS, &regs);
	tally = try_state(self->vcpu);
	EXPECT_EQ(0, tally.wrong);
	EXPECT_LT(1000, tally.refused);
}

TEST_F_TIMEOUT(explain, rules_and_processor_agree_on_real_mode_states, 600)
{
	struct tally tally;

	REQUIRE_FEATURE(UNRESTRICTED);
	REQUIRE_TRY(self->vcpu);
	vcpu_mode16(self->vcpu);
	tally = try_state(self->vcpu);
	EXPECT_EQ(0, tally.wrong);
	EXPECT_LT(1000, tally.refused);
}

TEST_F(explain, a_debug_try_takes_no_host_state_and_no_trap_for_the_host)
{
	struct thv_debug_try try = { .count = 1 };

	REQUIRE_TRY(self->vcpu);
	try.field[0].field = HOST_RIP;
	EXPECT_EQ(-EINVAL, ask(self->vcpu, &try, NULL));
	try.field[0].field = ACTIVITY_STATE;
	try.field[0].value = ACTIVITY_WAIT_SIPI;
	EXPECT_EQ(-EINVAL, ask(self->vcpu, &try, NULL));
	try = (struct thv_debug_try) { .count = THV_DEBUG_TRY_FIELDS + 1 };
	EXPECT_EQ(-EINVAL, ask(self->vcpu, &try, NULL));
}

THV_TEST_MAIN
