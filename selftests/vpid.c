// SPDX-License-Identifier: GPL-2.0-only
/*
 * Translation tags (VPIDs): each vCPU has its own, there are only so many, and one that is free
 * again is somebody else's (threat 25). How many, the module was told when it was loaded (vpids=):
 * tests of the end of the pool want a small one.
 */
#include <stdio.h>
#include <stdlib.h>
#include "kselftest_harness.h"
#include "lib/vm.h"
#include "guests/memory.h"

GUEST(memory);

#define FIELDS		512
#define FIELD_VPID	0x0000		/* SDM appendix B */
#define FIELD_CONTROLS2	0x401e
#define USES_VPID	BIT(5)		/* SDM table 25-7 */
#define SMALL		16		/* a pool that can be used up quickly */
#define ADDRESS		GUEST_DATA

/* How many tags the module uses */
static unsigned int pool(void)
{
	FILE *file = fopen("/sys/module/thv/parameters/vpids", "r");
	unsigned int vpids = 0;

	if (file && fscanf(file, "%u", &vpids) != 1)
		vpids = 0;
	if (file)
		fclose(file);
	return vpids < 0xffff ? vpids : 0xffff;
}

static u64 field(const struct thv_field *fields, u32 count, u32 which)
{
	u32 i;

	for (i = 0; i < count; i++)
		if (fields[i].field == which)
			return fields[i].value;
	fail("there is no field %#x", which);
}

/* What the processor will tag a vCPU's translations with; 0: nothing */
static u32 tag_of(struct vm *vm, u32 vcpu)
{
	static struct thv_field fields[FIELDS];
	struct thv_open_vm open = { .id = vm->id };
	struct thv_get_fields args = {
		.vcpu = vcpu, .count = FIELDS, .data = (uintptr_t)fields,
	};
	int control = must(thv_ioctl(thv_device(), THV_OPEN_VM, &open));

	must(thv_ioctl(control, THV_GET_FIELDS, &args));
	close(control);
	if (!(field(fields, args.count, FIELD_CONTROLS2) & USES_VPID))
		return 0;
	return field(fields, args.count, FIELD_VPID);
}

FIXTURE(vpid) {
	unsigned int pool;
};

FIXTURE_SETUP(vpid)
{
	self->pool = pool();
	REQUIRE(thv_offers(THV_FEATURE_VPID), "this processor has no VPIDs");
	REQUIRE(self->pool, "the module was loaded with vpids=0");
}

FIXTURE_TEARDOWN(vpid)
{
}

TEST_F(vpid, is_a_vcpus_own)
{
	struct vm *vm = vm_create(memory), *other = vm_create(memory);
	u32 tags[3];

	REQUIRE(self->pool >= 3, "there are only %u", self->pool);
	vcpu_create(vm, 1);
	tags[0] = tag_of(vm, 0);
	tags[1] = tag_of(vm, 1);
	tags[2] = tag_of(other, 0);
	EXPECT_NE(0, tags[0]) TH_LOG("0 is the host's");
	EXPECT_NE(0, tags[1]);
	EXPECT_NE(0, tags[2]);
	EXPECT_NE(tags[0], tags[1]);
	EXPECT_NE(tags[1], tags[2]);
	EXPECT_NE(tags[0], tags[2]);
}

TEST_F(vpid, is_not_used_by_a_vm_that_wants_none)
{
	struct vm *vm = vm_create_with(memory, .flags = THV_VM_NO_VPID);

	EXPECT_EQ(0, tag_of(vm, 0));
	EXPECT_EQ(0, guest_call(vm->vcpu, guest_memory_load, ADDRESS));
	vm_close(vm);
	vm = vm_create(memory);
	EXPECT_NE(0, tag_of(vm, 0));
}

TEST_F(vpid, of_a_vcpu_that_is_gone_is_not_soon_anothers)
{
	struct vm *vm = vm_create(memory);
	u32 before = tag_of(vm, 0);

	REQUIRE(self->pool > 1, "there is only one");
	vm_close(vm);
	vm = vm_create(memory);
	EXPECT_NE(before, tag_of(vm, 0));
}

/* A VM of many vCPUs, which have run nothing */
struct crowd {
	struct vm *vm;
	struct vcpu *vcpu[THV_MAX_VCPUS];
	unsigned int count;
};

static void crowd_create(struct crowd *crowd, unsigned int count)
{
	unsigned int i;

	crowd->vm = vm_create_bare(0);
	crowd->count = count;
	for (i = 0; i < count; i++)
		crowd->vcpu[i] = vcpu_create(crowd->vm, i);
}

static void crowd_close(struct crowd *crowd)
{
	unsigned int i;

	for (i = 0; i < crowd->count; i++)
		vcpu_close(crowd->vcpu[i]);
	vm_close(crowd->vm);
}

TEST_F(vpid, is_had_by_as_many_as_there_are_and_others_run_without)
{
	unsigned int i, tagged = 0;
	bool used[SMALL + 1] = { false };
	struct crowd crowd;
	struct vm *last;

	REQUIRE(self->pool <= SMALL, "there are %u: load the module with vpids=%u", self->pool, SMALL);
	crowd_create(&crowd, self->pool + 3);
	for (i = 0; i < self->pool + 3; i++) {
		u32 tag = tag_of(crowd.vm, i);

		ASSERT_LE(tag, self->pool);
		EXPECT_FALSE(tag && used[tag]) TH_LOG("tag %u is had by two", tag);
		used[tag] = true;
		tagged += tag != 0;
	}
	EXPECT_EQ(self->pool, tagged);
	last = vm_create(memory);
	EXPECT_EQ(0, tag_of(last, 0));
	guest_call(last->vcpu, guest_memory_store, ADDRESS, 0x4711);
	EXPECT_EQ(0x4711, guest_call(last->vcpu, guest_memory_load, ADDRESS));
	vm_close(last);
	crowd_close(&crowd);
	last = vm_create(memory);
	EXPECT_NE(0, tag_of(last, 0)) TH_LOG("those of vCPUs that are gone are not given again");
}

/*
 * Each VM finds in its page what it put there, whoever had its tag before: with another map of the
 * same linear addresses
 */
TEST_F(vpid, is_recycled_thousands_of_times_and_nobody_sees_anothers_memory)
{
	unsigned int i, rounds = self->pool <= SMALL ? 40 : 10;

	for (i = 0; i < rounds; i++) {
		struct vm *vm = vm_create(memory);
		struct crowd crowd;

		crowd_create(&crowd, 63);
		ASSERT_EQ(0, guest_call(vm->vcpu, guest_memory_load, ADDRESS));
		guest_call(vm->vcpu, guest_memory_store, ADDRESS, 0x1000 + i);
		ASSERT_EQ(0x1000 + i, guest_call(vm->vcpu, guest_memory_load, ADDRESS));
		ASSERT_EQ(0x1000 + i, *vm_at(vm, ADDRESS, u64));
		crowd_close(&crowd);
		vm_close(vm);
	}
}

THV_TEST_MAIN
