// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl's argument: addresses that cannot be used, sizes, reserved fields (each by one
 * table); every byte that comes back is one that was written (threat 11); nonsense at random; and
 * a run page that another thread scribbles over (threat 17).
 */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/wait.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/process.h"

GUEST(process);

FIXTURE(arguments) {
	struct vm *vm;
	int fd[3];	/* by enum kind */
};

enum kind { DEVICE, VM, VCPU };

FIXTURE_SETUP(arguments)
{
	self->vm = vm_create(process);
	self->fd[DEVICE] = thv_device();
	self->fd[VM] = self->vm->fd;
	self->fd[VCPU] = self->vm->vcpu->fd;
}

FIXTURE_TEARDOWN(arguments)
{
}

/* An ioctl whose struct has a field "reserved", and one whose has not */
#define KNOWN(kind, name, type)							\
	{ #name, kind, THV_##name, offsetof(type, reserved), sizeof(((type *)0)->reserved) }
#define PLAIN(kind, name)							\
	{ #name, kind, THV_##name, 0, 0 }

static const struct known {
	const char *name;
	enum kind kind;
	unsigned long cmd;
	unsigned int reserved, reserved_size;
} all[] = {
	PLAIN(DEVICE, GET_INFO),
	KNOWN(DEVICE, CREATE_VM, struct thv_create_vm),
	KNOWN(DEVICE, OPEN_VM, struct thv_open_vm),
	KNOWN(DEVICE, GET_CPUID, struct thv_cpuid),
	KNOWN(VM, SET_MEMORY, struct thv_memory),
	PLAIN(VM, GET_DIRTY),
	PLAIN(VM, GET_ACCESSED),
	KNOWN(VM, CREATE_VCPU, struct thv_create_vcpu),
	KNOWN(VM, SIGNAL_MSI, struct thv_msi),
	PLAIN(VM, IRQFD),
	KNOWN(VM, IOEVENTFD, struct thv_ioeventfd),
	KNOWN(VM, CONTROL, struct thv_control),
	PLAIN(VM, GET_STATS),
	PLAIN(VCPU, GET_STATE),
	PLAIN(VCPU, SET_STATE),
	KNOWN(VCPU, TRANSLATE, struct thv_translate),
	KNOWN(VCPU, INTERRUPT, struct thv_interrupt),
	KNOWN(VCPU, APIC_ACCESS, struct thv_apic_access),
	KNOWN(VCPU, DEBUG_GUEST, struct thv_debug_guest),
};

#define each_known(k) \
	unsigned int n = 0; (k) = &all[n], n < ARRAY_SIZE(all); n++

/* An argument that would do, so that what is refused is refused for the one thing that is wrong */
static void fill_good(FIXTURE_DATA(arguments) *self, const struct known *k, void *arg)
{
	static u8 bits[1024];

	memset(arg, 0, _IOC_SIZE(k->cmd));
	switch (k->cmd) {
	case THV_OPEN_VM:
		*(struct thv_open_vm *)arg = (struct thv_open_vm){ .id = self->vm->id };
		break;
	case THV_SET_MEMORY:
		*(struct thv_memory *)arg = (struct thv_memory){
			.size = self->vm->size, .hva = (uintptr_t)self->vm->mem };
		break;
	case THV_GET_DIRTY:
	case THV_GET_ACCESSED:
		*(struct thv_bitmap *)arg = (struct thv_bitmap){
			.bitmap = (uintptr_t)bits, .size = sizeof(bits) };
		break;
	case THV_CREATE_VCPU:
		*(struct thv_create_vcpu *)arg = (struct thv_create_vcpu){ .id = 5 };
		break;
	case THV_SIGNAL_MSI:
		*(struct thv_msi *)arg = (struct thv_msi){ .address = 0xfee00000, .data = 0x51 };
		break;
	case THV_IRQFD:
		*(struct thv_irqfd *)arg = (struct thv_irqfd){
			.fd = eventfd(0, 0), .msi = { 0xfee00000, 0x51, 0 } };
		break;
	case THV_IOEVENTFD:
		*(struct thv_ioeventfd *)arg = (struct thv_ioeventfd){
			.fd = eventfd(0, 0), .flags = THV_IOEVENTFD_PORT, .address = 0x500 };
		break;
	case THV_GET_STATE:
	case THV_SET_STATE:
		*(struct thv_state *)arg = (struct thv_state){
			.component = THV_STATE_REGS, .size = sizeof(struct thv_regs),
			.data = (uintptr_t)&self->vm->vcpu->run->regs };
		break;
	case THV_INTERRUPT:
		*(struct thv_interrupt *)arg = (struct thv_interrupt){ .vector = 0x51 };
		break;
	case THV_APIC_ACCESS:
		*(struct thv_apic_access *)arg = (struct thv_apic_access){ .offset = 0x30, .length = 4 };
		break;
	}
}

static int call(FIXTURE_DATA(arguments) *self, const struct known *k, unsigned long cmd, void *arg)
{
	int result = thv_ioctl(self->fd[k->kind], cmd, arg);

	if (result >= 0 && (k->cmd == THV_CREATE_VM || k->cmd == THV_OPEN_VM ||
			    k->cmd == THV_CREATE_VCPU))
		close(result);
	return result;
}

#define OF_SIZE(cmd, size) \
	(((cmd) & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT)) | \
	 (unsigned long)(size) << _IOC_SIZESHIFT)

static bool has_input(unsigned long cmd)
{
	return _IOC_DIR(cmd) & _IOC_WRITE;
}

TEST_F(arguments, addresses_that_cannot_be_used_are_efault)
{
	static void * const bad[] = {
		NULL, (void *)8, (void *)-8, (void *)-1UL, (void *)0x7ffffffffff8,
		(void *)0x800000000000, (void *)0x8000000000000000, (void *)0xffff888000000000,
		(void *)0xffffffff81000000, (void *)0xffffffffff600000,
	};
	const struct known *k;
	unsigned int i;

	for (each_known(k))
		for (i = 0; i < ARRAY_SIZE(bad); i++)
			EXPECT_EQ(-EFAULT, call(self, k, k->cmd, bad[i]))
				TH_LOG("ioctl %#lx, address %u of the list", k->cmd, i);
}

TEST_F(arguments, an_argument_that_reaches_into_nowhere_is_efault)
{
	u8 *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	const struct known *k;

	munmap(pages + PAGE, PAGE);
	for (each_known(k)) {
		u8 *arg = pages + PAGE - _IOC_SIZE(k->cmd) + 4;

		memset(pages, 0, PAGE);
		EXPECT_EQ(-EFAULT, call(self, k, k->cmd, arg)) TH_LOG("%s", k->name);
	}
}

TEST_F(arguments, an_argument_at_an_odd_address_is_as_good_as_another)
{
	u8 buffer[1024];
	const struct known *k;

	for (each_known(k)) {
		fill_good(self, k, buffer + 3);
		/* An unaligned slot etc. may be refused by its meaning, not by its place */
		EXPECT_NE(-EFAULT, call(self, k, k->cmd, buffer + 3)) TH_LOG("%s", k->name);
	}
}

TEST_F(arguments, a_longer_struct_may_not_say_more)
{
	u8 buffer[2048];
	const struct known *k;
	unsigned int size;

	for (each_known(k)) {
		size = _IOC_SIZE(k->cmd);
		if (!has_input(k->cmd))
			continue;
		memset(buffer, 0, sizeof(buffer));
		fill_good(self, k, buffer);
		buffer[size + 100] = 1;
		EXPECT_EQ(-E2BIG, call(self, k, OF_SIZE(k->cmd, size + 101), buffer))
			TH_LOG("%s", k->name);
		buffer[size + 100] = 0;
		EXPECT_NE(-E2BIG, call(self, k, OF_SIZE(k->cmd, size + 101), buffer))
			TH_LOG("%s", k->name);
	}
}

TEST_F(arguments, the_longest_struct_there_can_be)
{
	u8 *buffer = calloc(1, _IOC_SIZEMASK + 1);
	const struct known *k;

	for (each_known(k)) {
		int result;

		memset(buffer, 0, _IOC_SIZEMASK);
		fill_good(self, k, buffer);
		result = call(self, k, OF_SIZE(k->cmd, _IOC_SIZEMASK), buffer);
		EXPECT_TRUE(result != -E2BIG && result != -EFAULT && result != -ENOTTY)
			TH_LOG("%s: %d", k->name, result);
	}
}

TEST_F(arguments, reserved_fields_are_zero)
{
	u8 buffer[1024];
	const struct known *k;
	unsigned int i;

	for (each_known(k)) {
		for (i = 0; i < k->reserved_size; i++) {
			fill_good(self, k, buffer);
			buffer[k->reserved + i] = 0x80;
			EXPECT_EQ(-EINVAL, call(self, k, k->cmd, buffer))
				TH_LOG("%s byte %u", k->name, i);
		}
	}
}

/* ---- every byte that comes back ---- */

/* Twice, over different bytes: where the results differ, nobody has written */
TEST_F(arguments, outputs_are_written_to_the_last_byte)
{
	static const unsigned long outputs[] = {
		THV_GET_INFO, THV_GET_STATS,
	};
	u8 a[1024], b[1024];
	const struct known *k;
	unsigned int i, o;

	for (each_known(k)) {
		for (o = 0; o < ARRAY_SIZE(outputs); o++) {
			if (outputs[o] != k->cmd)
				continue;
			memset(a, 0xa5, sizeof(a));
			memset(b, 0x5a, sizeof(b));
			ASSERT_EQ(0, call(self, k, k->cmd, a));
			ASSERT_EQ(0, call(self, k, k->cmd, b));
			for (i = 0; i < _IOC_SIZE(k->cmd); i++)
				EXPECT_EQ(a[i], b[i]) TH_LOG("%s byte %u", k->name, i);
			for (; i < sizeof(a); i++)
				ASSERT_EQ(0xa5, a[i]) TH_LOG("%s byte %u, behind the struct", k->name, i);
		}
	}
}

TEST_F(arguments, output_fields_do_not_depend_on_what_was_there)
{
	struct thv_cpuid cpuid[2] = { { .leaf = 1 }, { .leaf = 1 } };
	struct thv_create_vm create = {};
	struct thv_translate translate[2] = {};
	struct thv_apic_access access = { .offset = 0x30, .length = 4, .data = ~0ULL };
	u64 bits;
	struct thv_bitmap bitmap = { .slot = 1, .bitmap = (uintptr_t)&bits, .size = 8, .count = ~0ULL };

	memset(&cpuid[1].eax, 0xa5, 16);
	must(thv_ioctl(self->fd[DEVICE], THV_GET_CPUID, &cpuid[0]));
	must(thv_ioctl(self->fd[DEVICE], THV_GET_CPUID, &cpuid[1]));
	EXPECT_EQ(0, memcmp(&cpuid[0], &cpuid[1], sizeof(cpuid[0])));

	create.id = 0xa5a5a5a5;
	close(must(thv_ioctl(self->fd[DEVICE], THV_CREATE_VM, &create)));
	EXPECT_NE(0xa5a5a5a5, create.id);

	translate[0].gla = translate[1].gla = GUEST_CODE;
	translate[0].access = translate[1].access = THV_ACCESS_READ;
	memset((u8 *)&translate[1] + offsetof(struct thv_translate, result), 0xa5,
	       sizeof(translate[1]) - offsetof(struct thv_translate, result));
	translate[1].reserved = 0;
	must(thv_ioctl(self->fd[VCPU], THV_TRANSLATE, &translate[0]));
	must(thv_ioctl(self->fd[VCPU], THV_TRANSLATE, &translate[1]));
	EXPECT_EQ(0, memcmp(&translate[0], &translate[1], sizeof(translate[0])));
	/* ... nor does a refused one */
	translate[0].gla = translate[1].gla = 0x8000000000000000;
	memset((u8 *)&translate[1] + offsetof(struct thv_translate, result), 0xa5,
	       sizeof(translate[1]) - offsetof(struct thv_translate, result));
	translate[1].reserved = 0;
	must(thv_ioctl(self->fd[VCPU], THV_TRANSLATE, &translate[0]));
	must(thv_ioctl(self->fd[VCPU], THV_TRANSLATE, &translate[1]));
	EXPECT_EQ(0, memcmp(&translate[0], &translate[1], sizeof(translate[0])));

	must(thv_ioctl(self->fd[VCPU], THV_APIC_ACCESS, &access));
	EXPECT_EQ(0, access.data >> 32);
	EXPECT_EQ(0x14, access.data & 0xff);

	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, 1 << 24, 4 * PAGE, self->vm->mem));
	must(thv_ioctl(self->fd[VM], THV_GET_ACCESSED, &bitmap));
	EXPECT_EQ(0, bitmap.count);
	EXPECT_EQ(0, bits) TH_LOG("bits beyond the slot's end");
}

TEST_F(arguments, state_is_written_to_the_last_byte)
{
	static const struct { const char *name; u32 component, size; } components[] = {
		{ "REGS", THV_STATE_REGS, sizeof(struct thv_regs) },
		{ "SREGS", THV_STATE_SREGS, sizeof(struct thv_sregs) },
		{ "FPU", THV_STATE_FPU, sizeof(struct thv_fpu) },
		{ "DEBUG", THV_STATE_DEBUG, sizeof(struct thv_debug) },
		{ "APIC", THV_STATE_APIC, sizeof(struct thv_apic) },
		{ "EVENTS", THV_STATE_EVENTS, sizeof(struct thv_event_state) },
		{ "TSC", THV_STATE_TSC, sizeof(struct thv_tsc) },
	};
	static u8 a[8192], b[8192];
	unsigned int c, i;

	for (c = 0; c < ARRAY_SIZE(components); c++) {
		u32 size = components[c].size;

		memset(a, 0xa5, sizeof(a));
		memset(b, 0x5a, sizeof(b));
		ASSERT_EQ(0, vcpu_get(self->vm->vcpu, components[c].component, a, size));
		ASSERT_EQ(0, vcpu_get(self->vm->vcpu, components[c].component, b, size));
		if (components[c].component == THV_STATE_TSC)
			memcpy(b, a, sizeof(u64));	/* time goes on */
		for (i = 0; i < size; i++)
			EXPECT_EQ(a[i], b[i]) TH_LOG("%s byte %u", components[c].name, i);
		EXPECT_EQ(0xa5, a[size]) TH_LOG("%s: written behind its end", components[c].name);
	}
}

/* ---- nonsense at random ---- */

static u64 seed = 0x853c49e6748fea9bULL;

static u64 random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

/* A value that might mean something */
static u64 random_value(FIXTURE_DATA(arguments) *self)
{
	static u8 somewhere[8192];

	switch (random64() % 12) {
	case 0:
		return 0;
	case 1:
		return random64() % 8;
	case 2:
		return 1ULL << (random64() % 64);
	case 3:
		return ~0ULL << (random64() % 64);
	case 4:
		return (uintptr_t)self->vm->mem + (random64() % 64) * PAGE;
	case 5:
		return (uintptr_t)somewhere;
	case 6:
		return 0xfee00000 + (random64() & 0xffffc);
	case 7:
		return (random64() % 64) * PAGE;
	case 8:
		return sizeof(struct thv_sregs);
	case 9:
		return 0x400000;
	case 10:
		return random64() % 4096;
	default:
		return random64();
	}
}

static void fuzz_one(FIXTURE_DATA(arguments) *self)
{
	const struct known *k = &all[random64() % ARRAY_SIZE(all)];
	u8 buffer[1024] __attribute__((aligned(8)));
	unsigned int i;
	int result;

	fill_good(self, k, buffer);
	for (i = 0; i < 1 + random64() % 3; i++) {
		u64 value = random_value(self);
		unsigned int at = random64() % _IOC_SIZE(k->cmd) & (random64() % 4 ? ~7U : ~0U);

		memcpy(buffer + at, &value, random64() % 2 ? 4 : 8);
	}
	/* Ends are tested elsewhere, and its own memory is what the test itself lives in */
	if (k->cmd == THV_CONTROL && *(u32 *)buffer >= THV_VM_PAUSED)
		return;
	result = call(self, k, k->cmd, buffer);
	if (result >= 0 && (k->cmd == THV_IRQFD || k->cmd == THV_IOEVENTFD))
		close(((struct thv_irqfd *)buffer)->fd);
}

static void fuzz_run_page(FIXTURE_DATA(arguments) *self)
{
	struct thv_run *run = self->vm->vcpu->run;
	unsigned int i;

	for (i = 0; i < 4; i++)
		((u64 *)run)[random64() % (THV_RUN_SIZE / 8)] = random_value(self);
	run->immediate_exit = random64() % 2;
	run->dirty = random64() % 12;
	vcpu_run_once(self->vm->vcpu);
}

TEST_F(arguments, random_calls_harm_nobody)
{
	struct vm *other;
	int i, status;
	pid_t pid = fork();

	if (!pid) {
		/* In a child: its VM, its memory */
		self->vm = vm_create(process);
		self->fd[VM] = self->vm->fd;
		self->fd[VCPU] = self->vm->vcpu->fd;
		guest_start(self->vm->vcpu, guest_process_count, 1000000);
		alarm_us(5000);
		for (i = 0; i < 2000; i++) {
			fuzz_one(self);
			if (i % 20 == 0)
				fuzz_run_page(self);
			if (i % 100 == 0)
				for (status = 20; status < 400; status++)
					close(status);
		}
		_exit(0);
	}
	ASSERT_EQ(pid, waitpid(pid, &status, 0));
	EXPECT_EQ(0, status);
	other = vm_create(process);
	EXPECT_EQ(42, guest_call(other->vcpu, guest_process_answer));
}

/* ---- a run page that changes all the time (threat 17) ---- */

static atomic_bool stop;

static void *scribble(void *arg)
{
	volatile u64 *page = arg;
	u64 i = 88172645463325252ULL;

	while (!stop) {
		i ^= i << 13;
		i ^= i >> 7;
		i ^= i << 17;
		page[i % (THV_RUN_SIZE / 8)] = i >> (i & 31);
		((volatile u8 *)page)[0] = 0;		/* immediate_exit */
	}
	return NULL;
}

TEST_F(arguments, a_run_page_that_changes_harms_nobody)
{
	struct vm *other;
	pthread_t thread;
	int i, err;

	guest_start(self->vm->vcpu, guest_process_count, 1000000);
	ASSERT_EQ(0, pthread_create(&thread, NULL, scribble, self->vm->vcpu->run));
	alarm_us(2000);
	for (i = 0; i < 500; i++) {
		err = vcpu_run_once(self->vm->vcpu);
		ASSERT_TRUE(err == 0 || err == -EINVAL || err == -EINTR) TH_LOG("%d", err);
	}
	alarm_us(0);
	stop = true;
	pthread_join(thread, NULL);
	other = vm_create(process);
	EXPECT_EQ(42, guest_call(other->vcpu, guest_process_answer));
}

THV_TEST_MAIN
