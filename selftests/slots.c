// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest-physical memory: what THV_SET_MEMORY refuses, what a guest sees of slots that are
 * added, moved, changed and deleted, and the bitmaps of what it wrote and used.
 */
#include <pthread.h>
#include <stdatomic.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/access.h"

GUEST(access);

#define SIZE		(16 * PAGE)
#define GPA		(1ULL << 24)	/* a slot of the test's own */
#define ELSEWHERE	(1ULL << 25)

static u8 *map(size_t size)
{
	u8 *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		     -1, 0);

	if (p == MAP_FAILED)
		fail("mmap of %zu bytes: %s", size, strerror(errno));
	return p;
}

/* ---- refusals ---- */

FIXTURE(refusal) {
	struct vm *vm;
	u8 *mem;
	u64 top;	/* of guest-physical addresses */
};

FIXTURE_SETUP(refusal)
{
	self->vm = vm_create_bare(0);
	self->mem = map(SIZE);
	self->top = 1ULL << self->vm->info->guest_phys_bits;
}

FIXTURE_TEARDOWN(refusal)
{
	vm_close(self->vm);
}

static int set(FIXTURE_DATA(refusal) *self, u32 slot, u32 flags, u64 gpa, u64 size, u64 hva)
{
	return vm_set_memory(self->vm, slot, flags, gpa, size, (void *)(uintptr_t)hva);
}

TEST_F(refusal, of_what_is_not_aligned)
{
	u64 hva = (uintptr_t)self->mem;

	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA + 1, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA + 2048, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE + 1, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 1, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE, hva + 1));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE, hva + 2048));
}

TEST_F(refusal, of_what_wraps_or_lies_beyond_the_address_space)
{
	u64 hva = (uintptr_t)self->mem;

	EXPECT_EQ(-EINVAL, set(self, 0, 0, self->top, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, self->top - PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, -PAGE, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, -PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, -PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 1ULL << 63, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, 1ULL << 63, 1ULL << 63, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE, -PAGE));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 2 * PAGE, -PAGE));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE, 1ULL << 47));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, PAGE, 0xffff888000000000ULL));
	EXPECT_EQ(0, set(self, 0, 0, self->top - PAGE, PAGE, hva));
}

TEST_F(refusal, of_unknown_flags_and_reserved_fields)
{
	struct thv_memory memory = {
		.gpa = GPA, .size = PAGE, .hva = (uintptr_t)self->mem, .reserved = { 0, 1 },
	};
	unsigned int bit;

	for (bit = 3; bit < 32; bit++)
		EXPECT_EQ(-EINVAL, set(self, 0, BIT(bit), GPA, PAGE, memory.hva));
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_SET_MEMORY, &memory));
	memory.reserved[0] = 1ULL << 63;
	memory.reserved[1] = 0;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_SET_MEMORY, &memory));
}

TEST_F(refusal, of_ids_beyond_the_limit)
{
	u64 hva = (uintptr_t)self->mem;

	EXPECT_EQ(-EINVAL, set(self, THV_MAX_SLOTS, 0, GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0x80000000, 0, GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0xffffffff, 0, GPA, PAGE, hva));
	EXPECT_EQ(0, set(self, THV_MAX_SLOTS - 1, 0, GPA, PAGE, hva));
}

TEST_F(refusal, of_overlap)
{
	u64 hva = (uintptr_t)self->mem;

	ASSERT_EQ(0, set(self, 0, 0, GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA - PAGE, 2 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA + 3 * PAGE, PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA - PAGE, 6 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA + PAGE, 2 * PAGE, hva));
	EXPECT_EQ(0, set(self, 1, 0, GPA + 4 * PAGE, PAGE, hva));
	EXPECT_EQ(0, set(self, 2, 0, GPA - PAGE, PAGE, hva));
	/* A slot is not in its own way when it moves by less than its size, but in others' */
	EXPECT_EQ(-EEXIST, set(self, 0, 0, GPA + PAGE, 4 * PAGE, hva));
	ASSERT_EQ(0, set(self, 1, 0, 0, 0, 0));
	EXPECT_EQ(0, set(self, 0, 0, GPA + PAGE, 4 * PAGE, hva));
}

TEST_F(refusal, of_the_apics_page)
{
	u64 hva = (uintptr_t)self->mem;

	EXPECT_EQ(-EEXIST, set(self, 0, 0, GUEST_APIC, PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 0, 0, GUEST_APIC - PAGE, 3 * PAGE, hva));
	EXPECT_EQ(0, set(self, 0, 0, GUEST_APIC + PAGE, PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 0, 0, GUEST_APIC, PAGE, hva));
}

TEST_F(refusal, of_a_changed_size_or_address)
{
	u64 hva = (uintptr_t)self->mem;

	ASSERT_EQ(0, set(self, 0, 0, GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 5 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 3 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 4 * PAGE, hva + PAGE));
	EXPECT_EQ(0, set(self, 0, 0, GPA, 4 * PAGE, hva)) TH_LOG("the same again");
}

TEST_F(refusal, of_deleting_what_is_not_there)
{
	u64 hva = (uintptr_t)self->mem;

	EXPECT_EQ(-EINVAL, set(self, 0, 0, 0, 0, 0));
	ASSERT_EQ(0, set(self, 0, 0, GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 1, 0, 0, 0, 0));
	EXPECT_EQ(0, set(self, 0, 0, 0, 0, 0));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, 0, 0, 0));
}

TEST_F(refusal, leaves_everything_as_it_was)
{
	u64 hva = (uintptr_t)self->mem;

	ASSERT_EQ(0, set(self, 0, 0, GPA, 4 * PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 0, 0, GPA, 5 * PAGE, hva));
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA, PAGE, hva));
	EXPECT_EQ(-EINVAL, set(self, 1, 0, 0, 0, 0)) TH_LOG("slot 1 is there");
	EXPECT_EQ(-EEXIST, set(self, 1, 0, GPA + 3 * PAGE, PAGE, hva)) TH_LOG("slot 0 has shrunk");
	EXPECT_EQ(0, set(self, 1, 0, GPA + 4 * PAGE, PAGE, hva)) TH_LOG("slot 0 has grown");
}

TEST_F(refusal, every_slot_can_be_used)
{
	u32 slot;

	for (slot = 0; slot < THV_MAX_SLOTS; slot++)
		ASSERT_EQ(0, set(self, slot, 0, GPA + slot * PAGE, PAGE, (uintptr_t)self->mem));
	for (slot = 0; slot < THV_MAX_SLOTS; slot++)
		ASSERT_EQ(0, set(self, slot, 0, 0, 0, 0));
}

/* The memory behind a slot is looked at when a guest touches it, not before. */
TEST_F(refusal, does_not_ask_whether_the_memory_is_there)
{
	munmap(self->mem, SIZE);
	EXPECT_EQ(0, set(self, 0, 0, GPA, PAGE, (uintptr_t)self->mem));
}

/* ---- boundary tuples against a model (threat 19) ---- */

/* Without unrestricted guest the module's identity page table is here (Documentation/limits.rst) */
#define IDENTITY_TABLE	0xfedff000ULL

struct model_slot {
	bool used;
	u64 gpa, size, hva;
};

struct model {
	u64 top, user_end;
	struct model_slot slot[THV_MAX_SLOTS];
};

/* 128-bit sums: what the kernel must not get wrong cannot go wrong here */
static bool beyond(u64 start, u64 size, u64 end)
{
	return (__uint128_t)start + size > end;
}

static bool overlaps(u64 a, u64 a_size, u64 b, u64 b_size)
{
	return (__uint128_t)a < (__uint128_t)b + b_size &&
	       (__uint128_t)b < (__uint128_t)a + a_size;
}

static int model_set(struct model *model, u32 id, u64 gpa, u64 size, u64 hva)
{
	struct model_slot *slot;
	unsigned int i;

	if (id >= THV_MAX_SLOTS || (gpa | size | hva) % PAGE)
		return -EINVAL;
	if (beyond(gpa, size, model->top) || beyond(hva, size, model->user_end))
		return -EINVAL;
	slot = &model->slot[id];
	if (!size) {
		if (!slot->used)
			return -EINVAL;
		slot->used = false;
		return 0;
	}
	if (slot->used && (slot->size != size || slot->hva != hva))
		return -EINVAL;
	if (overlaps(gpa, size, GUEST_APIC, PAGE))
		return -EEXIST;
	if (!thv_shadows() && !thv_offers(THV_FEATURE_UNRESTRICTED) &&
	    overlaps(gpa, size, IDENTITY_TABLE, PAGE))
		return -EEXIST;
	for (i = 0; i < THV_MAX_SLOTS; i++)
		if (i != id && model->slot[i].used &&
		    overlaps(gpa, size, model->slot[i].gpa, model->slot[i].size))
			return -EEXIST;
	*slot = (struct model_slot){ true, gpa, size, hva };
	return 0;
}

static u64 seed = 88172645463325252ULL;

static u64 random64(void)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed;
}

#define PICK(array) ((array)[random64() % ARRAY_SIZE(array)])

/* Near something that matters: a page more or less, a byte off now and then */
static u64 near(u64 value)
{
	static const s64 off[] = { 0, 0, 0, 0, PAGE, -PAGE, 2 * PAGE, -2 * PAGE, 1, -1 };

	return value + PICK(off);
}

TEST_F(refusal, decides_boundary_cases_as_the_model_does)
{
	const u64 hva = (uintptr_t)self->mem;
	const u64 user_end = (1ULL << 47) - PAGE;
	const u64 gpas[] = { 0, PAGE, GPA, GPA + 2 * PAGE, GUEST_APIC, self->top, self->top / 2,
			     1ULL << 31, 1ULL << 32, 1ULL << 63, ~0ULL - PAGE + 1 };
	const u64 sizes[] = { 0, PAGE, PAGE, 2 * PAGE, 4 * PAGE, 1ULL << 32, self->top,
			      self->top / 2, 1ULL << 63, ~0ULL - PAGE + 1 };
	const u64 hvas[] = { hva, hva, hva, hva + 4 * PAGE, 0, user_end, 1ULL << 47, 1ULL << 63,
			     ~0ULL - PAGE + 1 };
	const u32 ids[] = { 0, 0, 1, 1, 2, 3, 62, 63, 64, 0x7fffffff, 0xffffffff };
	struct model model = { .top = self->top, .user_end = user_end };
	unsigned int i, done = 0;

	for (i = 0; i < 4000; i++) {
		u32 id = PICK(ids);
		u64 gpa = near(PICK(gpas)), size = near(PICK(sizes)), hva = near(PICK(hvas));
		struct model_slot *slot = id < THV_MAX_SLOTS ? &model.slot[id] : NULL;
		int expected;

		/* A slot that is there: mostly something that can succeed */
		if (slot && slot->used && random64() % 4) {
			size = random64() % 3 ? slot->size : 0;
			hva = size ? slot->hva : 0;
		}
		expected = model_set(&model, id, gpa, size, hva);
		/*
		 * A slot of more than 8 TiB may be refused: the interface does not say how large
		 * one can be
		 */
		if (!expected && size > 1ULL << 40) {
			int result = set(self, id, 0, gpa, size, hva);

			slot->used = !result;
			continue;
		}
		done += !expected;
		ASSERT_EQ(expected, set(self, id, 0, gpa, size, hva))
			TH_LOG("number %u: slot %u gpa %#llx size %#llx hva %#llx", i, id, gpa,
			       size, hva);
	}
	EXPECT_LT(100, done) TH_LOG("too few of the tuples succeed for this to mean much");
}

/* ---- what the guest sees ---- */

FIXTURE(slots) {
	struct vm *vm;
	struct vcpu *vcpu;
	u8 *mem;
	u64 *word;	/* the same */
};

FIXTURE_VARIANT(slots) {
	u32 flags;
};

FIXTURE_VARIANT_ADD(slots, huge) {
	.flags = 0,
};

FIXTURE_VARIANT_ADD(slots, small) {
	.flags = THV_VM_NO_HUGE | THV_VM_NO_VPID,
};

FIXTURE_SETUP(slots)
{
	self->vm = vm_create_with(access, .flags = variant->flags);
	self->vcpu = self->vm->vcpu;
	self->mem = map(SIZE);
	self->word = (u64 *)self->mem;
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
}

FIXTURE_TEARDOWN(slots)
{
	vm_close(self->vm);
	munmap(self->mem, SIZE);
}

static u64 load(struct vcpu *vcpu, u64 gpa)
{
	return guest_call(vcpu, guest_access_load64, gpa);
}

static void store(struct vcpu *vcpu, u64 gpa, u64 value)
{
	guest_call(vcpu, guest_access_store64, gpa, value);
}

#define ASSERT_NO_MEMORY(at)							\
	do {									\
		guest_start(self->vcpu, guest_access_load64, at);		\
		run_until(self->vcpu, THV_EXIT_MMIO);				\
		ASSERT_EQ(at, self->vcpu->run->mmio.gpa);			\
		ASSERT_EQ(THV_ACCESS_READ, self->vcpu->run->mmio.access);	\
	} while (0)

TEST_F(slots, show_the_launchers_memory_both_ways)
{
	self->word[0] = 0x1122334455667788;
	EXPECT_EQ(0x1122334455667788, load(self->vcpu, GPA));
	store(self->vcpu, GPA + PAGE + 8, 0x99);
	EXPECT_EQ(0x99, self->word[PAGE / 8 + 1]);
	self->word[0] = 5;
	EXPECT_EQ(5, load(self->vcpu, GPA));
}

TEST_F(slots, end_where_they_end)
{
	ASSERT_NO_MEMORY(GPA - 8);
	ASSERT_NO_MEMORY(GPA + SIZE);
	EXPECT_EQ(0, load(self->vcpu, GPA + SIZE - 8));
}

TEST_F(slots, move)
{
	self->word[0] = 0xabc;
	EXPECT_EQ(0xabc, load(self->vcpu, GPA));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, ELSEWHERE, SIZE, self->mem));
	EXPECT_EQ(0xabc, load(self->vcpu, ELSEWHERE));
	ASSERT_NO_MEMORY(GPA);
	/* By less than its own size */
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, ELSEWHERE + PAGE, SIZE, self->mem));
	EXPECT_EQ(0xabc, load(self->vcpu, ELSEWHERE + PAGE));
	ASSERT_NO_MEMORY(ELSEWHERE);
}

TEST_F(slots, are_gone_once_deleted)
{
	self->word[0] = 0xabc;
	EXPECT_EQ(0xabc, load(self->vcpu, GPA));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, 0, 0, NULL));
	ASSERT_NO_MEMORY(GPA);
	ASSERT_EQ(0, vm_set_memory(self->vm, 7, 0, GPA, SIZE, self->mem));
	EXPECT_EQ(0xabc, load(self->vcpu, GPA));
}

TEST_F(slots, may_show_one_piece_of_memory_twice)
{
	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, ELSEWHERE, SIZE, self->mem));
	store(self->vcpu, GPA + 8, 0x77);
	EXPECT_EQ(0x77, load(self->vcpu, ELSEWHERE + 8));
}

TEST_F(slots, an_access_may_go_from_one_into_the_next)
{
	u8 *other = map(PAGE);

	ASSERT_EQ(0, vm_set_memory(self->vm, 2, 0, GPA + SIZE, PAGE, other));
	store(self->vcpu, GPA + SIZE - 4, 0x1111111122222222);
	EXPECT_EQ(0x22222222, *(u32 *)(self->mem + SIZE - 4));
	EXPECT_EQ(0x11111111, *(u32 *)other);
}

TEST_F(slots, read_only_is_an_mmio_exit_for_writes_alone)
{
	struct thv_run *run = self->vcpu->run;

	self->word[1] = 0x123;
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, THV_MEMORY_READONLY, GPA, SIZE, self->mem));
	EXPECT_EQ(0x123, load(self->vcpu, GPA + 8));
	guest_start(self->vcpu, guest_access_store64, GPA + 8, 0x456);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(GPA + 8, run->mmio.gpa);
	EXPECT_EQ(THV_MMIO_READONLY, run->mmio.flags & THV_MMIO_READONLY);
	EXPECT_NE(0, run->mmio.access & THV_ACCESS_WRITE);
	EXPECT_EQ(0x123, self->word[1]);
	/* Writable again: the same instruction goes through */
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
	guest_finish(self->vcpu);
	EXPECT_EQ(0x456, self->word[1]);
}

TEST_F(slots, become_read_only_while_mapped)
{
	store(self->vcpu, GPA, 1);
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, THV_MEMORY_READONLY, GPA, SIZE, self->mem));
	guest_start(self->vcpu, guest_access_store64, GPA, 2);
	run_until(self->vcpu, THV_EXIT_MMIO);
	EXPECT_EQ(1, self->word[0]);
}

TEST_F(slots, are_executable)
{
	memcpy(self->mem, guest_access + (guest_access_good - GUEST_CODE), 16);
	EXPECT_EQ(0x600d, guest_call(self->vcpu, guest_access_run_at, GPA));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, THV_MEMORY_READONLY, GPA, SIZE, self->mem));
	EXPECT_EQ(0x600d, guest_call(self->vcpu, guest_access_run_at, GPA));
}

TEST_F(slots, may_be_backed_by_read_only_memory)
{
	self->word[0] = 0x321;
	ASSERT_EQ(0, mprotect(self->mem, SIZE, PROT_READ));
	EXPECT_EQ(0x321, load(self->vcpu, GPA));
	guest_start(self->vcpu, guest_access_store64, GPA, 2);
	run_until(self->vcpu, THV_EXIT_MEMORY_FAULT);
	EXPECT_EQ(GPA, self->vcpu->run->memory_fault.gpa);
	EXPECT_EQ((uintptr_t)self->mem, self->vcpu->run->memory_fault.hva);
	EXPECT_EQ(EFAULT, self->vcpu->run->memory_fault.error);
	EXPECT_NE(0, self->vcpu->run->memory_fault.access & THV_ACCESS_WRITE);
	EXPECT_EQ(0x321, self->word[0]);
}

/* ---- bitmaps ---- */

static int get_bits(struct vm *vm, unsigned long cmd, u32 slot, u64 *bits, u64 *count)
{
	struct thv_bitmap args = { .slot = slot, .bitmap = (uintptr_t)bits, .size = 8 };
	int result;

	*bits = ~0ULL;
	result = thv_ioctl(vm->fd, cmd, &args);
	*count = args.count;
	return result;
}

#define ASSERT_BITS(cmd, expected)						\
	do {									\
		u64 __bits, __count;						\
		ASSERT_EQ(0, get_bits(self->vm, cmd, 1, &__bits, &__count));	\
		ASSERT_EQ(expected, __bits);					\
		ASSERT_EQ(__builtin_popcountll(expected), (int)__count);	\
	} while (0)

static void log_dirty(FIXTURE_DATA(slots) *self, bool on)
{
	must(vm_set_memory(self->vm, 1, on ? THV_MEMORY_LOG_DIRTY : 0, GPA, SIZE, self->mem));
}

TEST_F(slots, dirty_pages_are_those_written_since_last_asked)
{
	log_dirty(self, true);
	ASSERT_BITS(THV_GET_DIRTY, 0ULL);
	store(self->vcpu, GPA + PAGE, 1);
	store(self->vcpu, GPA + 5 * PAGE + 16, 1);
	load(self->vcpu, GPA + 7 * PAGE);
	ASSERT_BITS(THV_GET_DIRTY, BIT(1) | BIT(5));
	ASSERT_BITS(THV_GET_DIRTY, 0ULL);
	store(self->vcpu, GPA + PAGE, 2);
	store(self->vcpu, GPA + 7 * PAGE, 2);
	ASSERT_BITS(THV_GET_DIRTY, BIT(1) | BIT(7));
}

TEST_F(slots, the_dirty_log_begins_when_it_is_switched_on)
{
	store(self->vcpu, GPA + 2 * PAGE, 1);
	log_dirty(self, true);
	store(self->vcpu, GPA + 3 * PAGE, 1);
	ASSERT_BITS(THV_GET_DIRTY, BIT(3));
	store(self->vcpu, GPA + 2 * PAGE, 1);
	log_dirty(self, false);
	log_dirty(self, true);
	ASSERT_BITS(THV_GET_DIRTY, 0ULL);
	store(self->vcpu, GPA + 2 * PAGE, 1);
	ASSERT_BITS(THV_GET_DIRTY, BIT(2));
}

TEST_F(slots, the_launchers_own_writes_are_not_dirty)
{
	log_dirty(self, true);
	load(self->vcpu, GPA);
	self->word[0] = 5;
	ASSERT_BITS(THV_GET_DIRTY, 0ULL);
}

/* The clock page is written by the module, in the guest's name */
TEST_F(slots, the_modules_writes_are_dirty)
{
	log_dirty(self, true);
	guest_call(self->vcpu, guest_access_wrmsr, 0x4b564d01, (GPA + 9 * PAGE) | 1);
	guest_call(self->vcpu, guest_access_load64, GPA);
	ASSERT_BITS(THV_GET_DIRTY, BIT(9));
	EXPECT_NE(0, self->word[9 * PAGE / 8]);
}

TEST_F(slots, dirty_bits_survive_a_zap_and_a_move)
{
	log_dirty(self, true);
	store(self->vcpu, GPA + PAGE, 1);
	store(self->vcpu, GPA + 2 * PAGE, 1);
	/* The host takes the first of them back */
	ASSERT_EQ(0, madvise(self->mem + PAGE, PAGE, MADV_DONTNEED));
	ASSERT_EQ(0, vm_set_memory(self->vm, 1, THV_MEMORY_LOG_DIRTY, ELSEWHERE, SIZE, self->mem));
	ASSERT_BITS(THV_GET_DIRTY, BIT(1) | BIT(2));
}

TEST_F(slots, accessed_pages_are_those_used_since_last_asked)
{
	u64 bits, count;

	ASSERT_EQ(0, get_bits(self->vm, THV_GET_ACCESSED, 1, &bits, &count));
	load(self->vcpu, GPA + 3 * PAGE);
	store(self->vcpu, GPA + 4 * PAGE, 1);
	ASSERT_BITS(THV_GET_ACCESSED, BIT(3) | BIT(4));
	ASSERT_BITS(THV_GET_ACCESSED, 0ULL);
	load(self->vcpu, GPA + 4 * PAGE);
	ASSERT_BITS(THV_GET_ACCESSED, BIT(4));
}

TEST_F(slots, bitmaps_of_large_slots_are_whole)
{
	enum { PAGES = 40000, BYTES = PAGES / 8 };
	u8 *mem = map(PAGES * PAGE);
	static u64 bits[BYTES / 8 + 1];
	struct thv_bitmap args = { .slot = 2, .bitmap = (uintptr_t)bits, .size = BYTES };
	u64 gpa = 1ULL << 28;

	ASSERT_EQ(0, vm_set_memory(self->vm, 2, THV_MEMORY_LOG_DIRTY, gpa, PAGES * PAGE, mem));
	store(self->vcpu, gpa, 1);
	store(self->vcpu, gpa + 32768 * PAGE, 1);
	store(self->vcpu, gpa + 39999 * PAGE, 1);
	bits[BYTES / 8] = 0xa5;
	ASSERT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	EXPECT_EQ(3, args.count);
	EXPECT_EQ(1, bits[0]);
	EXPECT_EQ(1, bits[512]);
	EXPECT_EQ(BIT(63), bits[39999 / 64]);
	EXPECT_EQ(0xa5, bits[BYTES / 8]) TH_LOG("written behind the bitmap's end");
	munmap(mem, PAGES * PAGE);
}

TEST_F(slots, bitmaps_are_refused_as_the_interface_says)
{
	u64 bits;
	struct thv_bitmap args = { .slot = 1, .bitmap = (uintptr_t)&bits, .size = 8 };

	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args)) TH_LOG("no log");
	EXPECT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_ACCESSED, &args));
	log_dirty(self, true);
	EXPECT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	args.size = 7;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_GET_ACCESSED, &args));
	args.size = ~0ULL;
	EXPECT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args)) TH_LOG("more room than needed");
	args.flags = 1;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	args.flags = 0;
	args.slot = 5;
	EXPECT_EQ(-ENOENT, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	args.slot = ~0U;
	EXPECT_EQ(-ENOENT, thv_ioctl(self->vm->fd, THV_GET_ACCESSED, &args));
}

TEST_F(slots, what_could_not_be_told_is_told_later)
{
	u64 bits;
	struct thv_bitmap args = { .slot = 1, .bitmap = 8, .size = 8 };

	log_dirty(self, true);
	store(self->vcpu, GPA + 6 * PAGE, 1);
	EXPECT_EQ(-EFAULT, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	args.bitmap = (uintptr_t)&bits;
	EXPECT_EQ(0, thv_ioctl(self->vm->fd, THV_GET_DIRTY, &args));
	EXPECT_EQ(BIT(6), bits);
}

/* ---- changes under a running vCPU ---- */

static atomic_bool stop;

static void *move_it(void *arg)
{
	FIXTURE_DATA(slots) *self = arg;
	int i;

	for (i = 0; !stop; i++) {
		must(vm_set_memory(self->vm, 1, 0, i & 1 ? ELSEWHERE : GPA, SIZE, self->mem));
		usleep(500);
	}
	must(vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
	return NULL;
}

/* While @work goes on, what the guest reads at these two, in turn, is the word that is there, or no memory */
static void read_meanwhile(struct __test_metadata *_metadata, FIXTURE_DATA(slots) *self,
			   void *(*work)(void *arg), u64 even, u64 odd)
{
	struct thv_run *run = self->vcpu->run;
	int i, found = 0, missed = 0;
	pthread_t thread;

	self->word[(even - GPA) / 8] = 0x5a5a;
	ASSERT_EQ(0, pthread_create(&thread, NULL, work, self));
	for (i = 0; i < 1000 || (i < 100000 && !(found && missed)); i++) {
		guest_start(self->vcpu, guest_access_load64, i & 1 ? odd : even);
		ASSERT_EQ(0, vcpu_run(self->vcpu));
		if (run->exit == THV_EXIT_MMIO) {
			missed++;
			continue;
		}
		ASSERT_EQ(THV_EXIT_IO, run->exit);
		ASSERT_EQ(0x5a5a, run->regs.gpr[THV_RAX]);
		found++;
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LT(0, found);
	EXPECT_LT(0, missed);
	EXPECT_EQ(0x5a5a, load(self->vcpu, even));
}

TEST_F(slots, move_under_a_running_vcpu)
{
	read_meanwhile(_metadata, self, move_it, GPA, ELSEWHERE);
}

static void *delete_it(void *arg)
{
	FIXTURE_DATA(slots) *self = arg;

	while (!stop) {
		must(vm_set_memory(self->vm, 1, 0, 0, 0, NULL));
		usleep(200);
		must(vm_set_memory(self->vm, 1, 0, GPA, SIZE, self->mem));
		usleep(500);
	}
	return NULL;
}

TEST_F(slots, are_deleted_and_added_under_a_running_vcpu)
{
	read_meanwhile(_metadata, self, delete_it, GPA + 3 * PAGE, GPA + 3 * PAGE);
}

/* What the flags forbid from when the call returns: seen by the words that the guest counts up */
struct toggler {
	struct vm *vm;
	u8 *mem;
	u64 disobeyed;
	volatile u64 rounds;
};

static void *make_read_only(void *arg)
{
	struct toggler *toggler = arg;
	volatile u64 *word = (u64 *)toggler->mem;
	u64 before;

	while (!stop) {
		must(vm_set_memory(toggler->vm, 1, THV_MEMORY_READONLY, GPA, SIZE, toggler->mem));
		before = *word;
		usleep(300);
		toggler->disobeyed += *word != before;
		must(vm_set_memory(toggler->vm, 1, 0, GPA, SIZE, toggler->mem));
		usleep(300);
		toggler->rounds++;
	}
	return NULL;
}

TEST_F(slots, become_read_only_and_writable_under_a_running_vcpu)
{
	struct toggler toggler = { .vm = self->vm, .mem = self->mem };
	struct thv_run *run = self->vcpu->run;
	u64 refused = 0, value = 0;
	pthread_t thread;

	ASSERT_EQ(0, pthread_create(&thread, NULL, make_read_only, &toggler));
	while (toggler.rounds < 30) {
		guest_start(self->vcpu, guest_access_store64, GPA, value + 1);
		ASSERT_EQ(0, vcpu_run(self->vcpu));
		if (run->exit == THV_EXIT_MMIO) {
			ASSERT_NE(0, run->mmio.flags & THV_MMIO_READONLY);
			refused++;
			continue;
		}
		ASSERT_EQ(THV_EXIT_IO, run->exit);
		value++;
	}
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_EQ(0, toggler.disobeyed) TH_LOG("written while it was read-only");
	EXPECT_LT(0, refused);
	EXPECT_EQ(value, self->word[0]);
}

static void *switch_log(void *arg)
{
	FIXTURE_DATA(slots) *self = arg;
	u64 bits, count;

	while (!stop) {
		log_dirty(self, true);
		usleep(200);
		must(get_bits(self->vm, THV_GET_DIRTY, 1, &bits, &count));
		log_dirty(self, false);
		usleep(200);
	}
	return NULL;
}

/* The log comes and goes, the memory stays; and the last log, begun under way, is right */
TEST_F(slots, are_logged_and_not_under_a_running_vcpu)
{
	pthread_t thread;
	u64 i;

	ASSERT_EQ(0, pthread_create(&thread, NULL, switch_log, self));
	for (i = 1; i < 300; i++) {
		store(self->vcpu, GPA + i % 16 * PAGE, i);
		ASSERT_EQ(i, load(self->vcpu, GPA + i % 16 * PAGE));
	}
	stop = true;
	pthread_join(thread, NULL);
	log_dirty(self, true);
	store(self->vcpu, GPA + 11 * PAGE, 1);
	ASSERT_BITS(THV_GET_DIRTY, BIT(11));
}

TEST_F(slots, a_log_read_under_a_running_vcpu_loses_no_write)
{
	struct vcpu *vcpu = self->vcpu;
	u64 bits, count, seen = 0;
	int i, us = 300;

	log_dirty(self, true);
	guest_start(vcpu, guest_access_fill, GPA, PAGE, SIZE / PAGE, 1);
	/* A signal after a while, again and again: the guest is somewhere in its loop */
	for (i = 0; i < 1000; i++) {
		int err;

		if (i % 50 == 0)
			alarm_us(us *= 2);	/* there has to be time for a fault in between */
		err = vcpu_run_once(vcpu);

		ASSERT_EQ(0, get_bits(self->vm, THV_GET_DIRTY, 1, &bits, &count));
		seen |= bits;
		if (!err)
			break;
		ASSERT_EQ(-EINTR, err);
	}
	alarm_us(0);
	ASSERT_EQ(THV_EXIT_IO, vcpu->run->exit);
	EXPECT_EQ(BIT(SIZE / PAGE) - 1, seen);
}

THV_TEST_MAIN
