// SPDX-License-Identifier: GPL-2.0-only
/*
 * /dev/thv: what it says of itself, and the rules that hold for every ioctl: numbers, sizes,
 * reserved fields, addresses. They are tried here, on the device; arguments.c has a turn at
 * every ioctl.
 */
#include "kselftest_harness.h"
#include "lib/vm.h"

/* An ioctl like @cmd for a struct of @size bytes */
#define OF_SIZE(cmd, size) \
	(((cmd) & ~((unsigned long)_IOC_SIZEMASK << _IOC_SIZESHIFT)) | \
	 (unsigned long)(size) << _IOC_SIZESHIFT)

FIXTURE(device) {
	int fd;
};

FIXTURE_SETUP(device)
{
	self->fd = thv_device();
}

FIXTURE_TEARDOWN(device)
{
}

TEST_F(device, says_what_it_is)
{
	struct thv_info info;

	memset(&info, 0xa5, sizeof(info));
	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_INFO, &info));
	EXPECT_EQ(THV_API_VERSION, info.api_version);
	EXPECT_TRUE(info.backend == THV_BACKEND_VMX || info.backend == THV_BACKEND_SVM);
	EXPECT_EQ(THV_MAX_VCPUS, info.max_vcpus);
	EXPECT_EQ(THV_MAX_SLOTS, info.max_slots);
	EXPECT_GE(52, info.guest_phys_bits);
	EXPECT_LE(32, info.guest_phys_bits);
	EXPECT_NE(0, info.tsc_khz);
	EXPECT_EQ(0, info.reserved[0] | info.reserved[1] | info.reserved[2] | info.reserved[3]);
}

TEST_F(device, uses_only_what_the_processor_offers)
{
	const struct thv_info *info = thv_info();

	EXPECT_EQ(0, info->used & ~info->offered);
	/* The last of them so far */
	EXPECT_GT(2 * THV_FEATURE_PAUSE_LOOP, info->offered) TH_LOG("bits that have no name");
	EXPECT_EQ(info->offered & THV_FEATURE_EPT, info->used & THV_FEATURE_EPT);
}

TEST_F(device, says_the_same_each_time)
{
	struct thv_info a, b;

	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_INFO, &a));
	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_INFO, &b));
	EXPECT_EQ(0, memcmp(&a, &b, sizeof(a)));
}

TEST_F(device, does_not_know_ioctls_of_other_descriptors)
{
	static const unsigned long others[] = {
		THV_SET_MEMORY, THV_GET_DIRTY, THV_GET_ACCESSED, THV_CREATE_VCPU, THV_SIGNAL_MSI,
		THV_IRQFD, THV_IOEVENTFD, THV_CONTROL, THV_GET_STATS, THV_RUN, THV_GET_STATE,
		THV_SET_STATE, THV_TRANSLATE, THV_INTERRUPT, THV_NMI, THV_APIC_ACCESS,
	};
	char buffer[1024] = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(others); i++)
		EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, others[i], buffer))
			TH_LOG("ioctl %#lx", others[i]);
}

TEST_F(device, does_not_know_other_numbers_types_and_directions)
{
	char buffer[256] = {};
	unsigned int nr;

	for (nr = 4; nr < 256; nr++)
		EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, _IOC(_IOC_READ | _IOC_WRITE, THV_IOCTL_TYPE, nr,
							    sizeof(buffer)), buffer))
			TH_LOG("number %#x", nr);
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, _IOR('T', 0, struct thv_info), buffer));
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, _IOW(THV_IOCTL_TYPE, 0, struct thv_info), buffer));
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, _IO(THV_IOCTL_TYPE, 0), buffer));
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, _IOR(THV_IOCTL_TYPE, 1, struct thv_create_vm), buffer));
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, 0, buffer));
	EXPECT_EQ(-ENOTTY, thv_ioctl(self->fd, 0xffffffff, buffer));
}

TEST_F(device, gives_a_shorter_struct_no_byte_more)
{
	u8 bytes[sizeof(struct thv_info)];
	struct thv_info whole;
	unsigned int size, i;

	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_INFO, &whole));
	for (size = 1; size < sizeof(whole); size += 5) {
		memset(bytes, 0xa5, sizeof(bytes));
		ASSERT_EQ(0, thv_ioctl(self->fd, OF_SIZE(THV_GET_INFO, size), bytes));
		EXPECT_EQ(0, memcmp(bytes, &whole, size));
		for (i = size; i < sizeof(bytes); i++)
			ASSERT_EQ(0xa5, bytes[i]) TH_LOG("size %u wrote byte %u", size, i);
	}
}

TEST_F(device, gives_a_longer_struct_zeros)
{
	u8 bytes[sizeof(struct thv_info) + 100];
	unsigned int i;

	memset(bytes, 0xa5, sizeof(bytes));
	ASSERT_EQ(0, thv_ioctl(self->fd, OF_SIZE(THV_GET_INFO, sizeof(bytes)), bytes));
	EXPECT_EQ(0, memcmp(bytes, thv_info(), sizeof(struct thv_info)));
	for (i = sizeof(struct thv_info); i < sizeof(bytes); i++)
		ASSERT_EQ(0, bytes[i]) TH_LOG("byte %u", i);
}

TEST_F(device, takes_a_shorter_struct_as_if_the_rest_were_zero)
{
	u32 args[2] = { THV_PAGING_DEFAULT, 0 };
	int vm = thv_ioctl(self->fd, OF_SIZE(THV_CREATE_VM, sizeof(args)), args);

	EXPECT_LE(0, vm);
	close(vm);
}

TEST_F(device, takes_a_longer_struct_with_a_zero_tail)
{
	struct {
		struct thv_create_vm create;
		u8 tail[200];
	} args = {};
	int vm = thv_ioctl(self->fd, OF_SIZE(THV_CREATE_VM, sizeof(args)), &args);

	EXPECT_LE(0, vm);
	EXPECT_NE(0, args.create.id);
	close(vm);
}

TEST_F(device, refuses_a_longer_struct_with_something_in_its_tail)
{
	struct {
		struct thv_create_vm create;
		u8 tail[200];
	} args = {};
	static const unsigned int places[] = { 0, 1, 99, 199 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(places); i++) {
		args.tail[places[i]] = 1;
		EXPECT_EQ(-E2BIG, thv_ioctl(self->fd, OF_SIZE(THV_CREATE_VM, sizeof(args)), &args))
			TH_LOG("byte %u", places[i]);
		args.tail[places[i]] = 0;
	}
}

TEST_F(device, refuses_reserved_fields_that_are_not_zero)
{
	struct thv_create_vm create = {};
	struct thv_open_vm open = { .id = 1 };
	struct thv_cpuid cpuid = {};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(create.reserved); i++) {
		create.reserved[i] = 1;
		EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_CREATE_VM, &create));
		create.reserved[i] = 0;
	}
	for (i = 0; i < ARRAY_SIZE(open.reserved); i++) {
		open.reserved[i] = 0x80000000;
		EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_OPEN_VM, &open));
		open.reserved[i] = 0;
	}
	for (i = 0; i < ARRAY_SIZE(cpuid.reserved); i++) {
		cpuid.reserved[i] = 1;
		EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
		cpuid.reserved[i] = 0;
	}
}

#define KNOWN_FLAGS	8	/* THV_VM_*: that many, from bit 0 up */

TEST_F(device, refuses_unknown_flags_and_paging)
{
	struct thv_create_vm create = {};
	unsigned int bit;

	for (bit = KNOWN_FLAGS; bit < 32; bit++) {
		create.flags = BIT(bit);
		EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_CREATE_VM, &create))
			TH_LOG("flag %u", bit);
	}
	create.flags = 0;
	create.paging = THV_PAGING_SHADOW + 1;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_CREATE_VM, &create));
	create.paging = ~0U;
	EXPECT_EQ(-EINVAL, thv_ioctl(self->fd, THV_CREATE_VM, &create));
}

TEST_F(device, makes_a_vm_with_any_known_flags)
{
	struct thv_create_vm create;
	unsigned int flags;
	int vm;

	for (flags = 0; flags < BIT(KNOWN_FLAGS); flags++) {
		create = (struct thv_create_vm){ .flags = flags };
		vm = thv_ioctl(self->fd, THV_CREATE_VM, &create);
		EXPECT_LE(0, vm) TH_LOG("flags %#x", flags);
		close(vm);
	}
	create = (struct thv_create_vm){ .paging = THV_PAGING_EPT };
	vm = thv_ioctl(self->fd, THV_CREATE_VM, &create);
	EXPECT_EQ(!!(thv_info()->used & THV_FEATURE_EPT), vm >= 0);
	close(vm);
}

TEST_F(device, has_shadow_paging_on_every_processor)
{
	struct thv_create_vm create = { .paging = THV_PAGING_SHADOW };
	int vm = thv_ioctl(self->fd, THV_CREATE_VM, &create);

	EXPECT_LE(0, vm);
	close(vm);
}

TEST_F(device, refuses_addresses_that_cannot_be_used)
{
	u8 *pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct thv_create_vm *split = (void *)(pages + PAGE - 16);
	u8 *read_only = pages + PAGE;

	ASSERT_NE(MAP_FAILED, pages);
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, NULL));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_CREATE_VM, NULL));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, (void *)-1UL));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, (void *)0xffff888000000000UL));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, (void *)0x800000000000UL));
	ASSERT_EQ(0, mprotect(read_only, PAGE, PROT_READ));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, read_only));
	/* The input can be read, the output cannot be written: no VM, no descriptor */
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_CREATE_VM, read_only));
	ASSERT_EQ(0, mprotect(read_only, PAGE, PROT_NONE));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_GET_INFO, split));
	EXPECT_EQ(-EFAULT, thv_ioctl(self->fd, THV_CREATE_VM, split));
	EXPECT_EQ(-1, fcntl(self->fd + 1, F_GETFD)) TH_LOG("a descriptor was left");
}

TEST_F(device, is_no_file_to_read_write_or_map)
{
	char byte = 0;

	EXPECT_EQ(-1, read(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(-1, write(self->fd, &byte, 1));
	EXPECT_EQ(EINVAL, errno);
	EXPECT_EQ(MAP_FAILED, mmap(NULL, PAGE, PROT_READ, MAP_SHARED, self->fd, 0));
	EXPECT_EQ(ENODEV, errno);
}

TEST_F(device, descriptors_close_on_exec)
{
	struct vm *vm = vm_create_bare(0);
	struct thv_open_vm open = { .id = vm->id };
	int control = thv_ioctl(self->fd, THV_OPEN_VM, &open);

	ASSERT_LE(0, control);
	vm->vcpu = vcpu_create(vm, 0);
	EXPECT_EQ(FD_CLOEXEC, fcntl(vm->fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(vm->vcpu->fd, F_GETFD));
	EXPECT_EQ(FD_CLOEXEC, fcntl(control, F_GETFD));
	close(control);
	vm_close(vm);
}

TEST_F(device, cpuid_has_the_hypervisor_bit_and_a_signature)
{
	struct thv_cpuid cpuid = { .leaf = 1 };

	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
	EXPECT_NE(0, cpuid.ecx & BIT(31));
	EXPECT_EQ(0, cpuid.ecx & BIT(5)) TH_LOG("VMX is offered");
	EXPECT_EQ(0, cpuid.ecx & BIT(3)) TH_LOG("MONITOR is offered");
	cpuid = (struct thv_cpuid){ .leaf = 0x40000000 };
	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
	EXPECT_LE(0x40000001, cpuid.eax);
	EXPECT_NE(0, cpuid.ebx);
}

TEST_F(device, cpuid_offers_only_instructions_that_work)
{
	struct thv_cpuid cpuid = { .leaf = 7 };

	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
	EXPECT_EQ(thv_offers(THV_FEATURE_INVPCID), !!(cpuid.ebx & BIT(10)));
	EXPECT_EQ(0, cpuid.ecx & BIT(5)) TH_LOG("WAITPKG");
	cpuid = (struct thv_cpuid){ .leaf = 0x80000001 };
	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
	EXPECT_EQ(thv_offers(THV_FEATURE_RDTSCP), !!(cpuid.edx & BIT(27)));
	cpuid = (struct thv_cpuid){ .leaf = 0xd, .subleaf = 1 };
	ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
	EXPECT_FALSE(!thv_offers(THV_FEATURE_XSAVES) && (cpuid.eax & BIT(3)));
}

TEST_F(device, cpuid_answers_every_leaf_and_keeps_the_question)
{
	static const u32 bases[] = { 0, 0x40000000, 0x80000000, 0xc0000000, 0xffffffc0 };
	struct thv_cpuid cpuid;
	unsigned int b, i, sub;

	for (b = 0; b < ARRAY_SIZE(bases); b++) {
		for (i = 0; i < 0x40; i++) {
			for (sub = 0; sub < 3; sub++) {
				cpuid = (struct thv_cpuid){ .leaf = bases[b] + i, .subleaf = sub };
				ASSERT_EQ(0, thv_ioctl(self->fd, THV_GET_CPUID, &cpuid));
				ASSERT_EQ(bases[b] + i, cpuid.leaf);
				ASSERT_EQ(sub, cpuid.subleaf);
				ASSERT_EQ(0, cpuid.reserved[0] | cpuid.reserved[1]);
			}
		}
	}
}

THV_TEST_MAIN
