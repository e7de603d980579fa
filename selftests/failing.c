// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each allocation and each copy from or to user space fails once: in every ioctl, in the faults of a
 * guest, in netlink and in closing. (Loading and unloading: failing_module.c.) What was asked for must
 * then either be refused with an error that says so, and leave nothing behind, or be done all the
 * same; and asked again it must work. What stays behind in the kernel's memory is for kmemleak to find.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include "kselftest_harness.h"
#include "lib/fail_nth.h"
#include "lib/netlink.h"
#include "lib/vm.h"
#include "guests/access.h"

GUEST(access);

#define FAR	(64UL << 20)	/* where the guest has memory that neither it nor we have touched */
#define SPREAD	(2UL << 20)	/* ... each touch in a table of its own */
#define TOUCHES	3
#define DEEP	400		/* no system call here comes to so many places that can fail */

/* ---- what is left behind ---- */

static void count_one(const struct nl_message *message, void *count)
{
	(void)message;
	++*(int *)count;
}

static int count_vms(struct nl *nl)
{
	struct nl_request request;
	int count = 0;

	nl_begin(&request, nl, THV_CMD_GET_VM, NLM_F_DUMP);
	nl_put_device(&request);
	must(nl_ask(nl, &request, count_one, &count));
	return count;
}

static int count_descriptors(void)
{
	int fd, count = 0;

	for (fd = 0; fd < 64; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* ---- what is tried ---- */

struct bench {
	struct vm *vm;		/* lasting: slot 0, and slot 1 with a dirty log */
	struct vcpu *vcpu;
	int control;
	struct nl *nl;		/* for looking */
	int eventfd;
	u8 *far;
	u8 buffer[16384] __attribute__((aligned(PAGE)));
	/* made anew for each try */
	struct vm *fresh;
	int fd;
	struct nl *asking;
	void *page;
};

/* A system call with all of its failures: variants are added below, each next to its function. */
FIXTURE(failing)
{
	struct bench *bench;
};

FIXTURE_VARIANT(failing)
{
	void (*before)(struct bench *bench);	/* NULL: nothing is to be prepared */
	int (*attempt)(struct bench *bench);	/* -errno, or something else */
	void (*after)(struct bench *bench);	/* undo it, whether or not it was done */
	bool makes_fd;				/* attempt() returns it */
	bool spent;				/* what before() made is no good after a failure */
};

FIXTURE_SETUP(failing)
{
	struct bench *bench;

	fail_nth_open();
	bench = self->bench = aligned_alloc(PAGE, (sizeof(*bench) + PAGE - 1) & -PAGE);
	memset(bench, 0, sizeof(*bench));
	bench->vm = vm_create(access);
	bench->vcpu = bench->vm->vcpu;
	bench->far = mmap(NULL, 2 * TOUCHES * SPREAD, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	must(vm_set_memory(bench->vm, 1, THV_MEMORY_LOG_DIRTY, FAR, SPREAD, bench->far));
	bench->control = must(thv_ioctl(thv_device(), THV_OPEN_VM,
					&(struct thv_open_vm){ .id = bench->vm->id }));
	bench->eventfd = eventfd(0, EFD_CLOEXEC);
	bench->nl = nl_open();
	guest_call(bench->vcpu, guest_access_touch, GUEST_DATA, PAGE, 1);
}

FIXTURE_TEARDOWN(failing)
{
	struct bench *bench = self->bench;

	nl_close(bench->nl);
	close(bench->eventfd);
	close(bench->control);
	vm_close(bench->vm);
	close(fail_nth_fd);
}

/* One try, with the @nth place failing (0: none): the result, and whether there was such a place */
static int try(FIXTURE_DATA(failing) *self, const FIXTURE_VARIANT(failing) *variant,
	       unsigned int nth, bool *failed)
{
	int result;

	fail_nth_arm(nth);
	result = variant->attempt(self->bench);
	*failed = !fail_nth_disarm();
	return result;
}

static void before(FIXTURE_DATA(failing) *self, const FIXTURE_VARIANT(failing) *variant)
{
	if (variant->before)
		variant->before(self->bench);
}

static void after(FIXTURE_DATA(failing) *self, const FIXTURE_VARIANT(failing) *variant, int result)
{
	if (variant->makes_fd && result >= 0)
		close(result);
	if (variant->after)
		variant->after(self->bench);
}

/* Once without, so that what is made on first use (pages, tables) is there; then each in turn */
TEST_F_TIMEOUT(failing, once_at_each_place_does_no_harm, 280)
{
	struct bench *bench = self->bench;
	unsigned int nth, refused = 0;
	int result, fds, vms;
	bool failed;

	before(self, variant);
	result = try(self, variant, 0, &failed);
	ASSERT_LE(0, result);
	after(self, variant, result);
	for (nth = 1, failed = true; failed; nth++) {
		ASSERT_GT(DEEP, nth);
		before(self, variant);
		fds = count_descriptors();
		vms = count_vms(bench->nl);
		result = try(self, variant, nth, &failed);
		if (result < 0) {
			ASSERT_TRUE(failed && fail_nth_is_want(result))
				TH_LOG("place %u: %s", nth, strerror(-result));
			refused++;
			EXPECT_EQ(fds, count_descriptors()) TH_LOG("place %u", nth);
			EXPECT_EQ(vms, count_vms(bench->nl)) TH_LOG("place %u", nth);
			if (variant->spent) {
				after(self, variant, result);
				before(self, variant);
			}
			result = try(self, variant, 0, &failed);
			failed = true;
			ASSERT_LE(0, result)
				TH_LOG("again after place %u: %s", nth, strerror(-result));
		}
		after(self, variant, result);
	}
	TH_LOG("%u places, %u refused", nth - 2, refused);
	EXPECT_LT(2, nth);	/* one place at least: else this is no test of anything */
}

/* ---- the device ---- */

static int open_device(struct bench *bench)
{
	int fd = open("/dev/thv", O_RDWR | O_CLOEXEC);

	(void)bench;
	return fd < 0 ? -errno : fd;
}

FIXTURE_VARIANT_ADD(failing, open_device) { .attempt = open_device, .makes_fd = true };

static int create_vm(struct bench *bench)
{
	(void)bench;
	return thv_ioctl(thv_device(), THV_CREATE_VM, &(struct thv_create_vm){ .name = "failing" });
}

FIXTURE_VARIANT_ADD(failing, create_vm) { .attempt = create_vm, .makes_fd = true };

static int create_shadowed_vm(struct bench *bench)
{
	(void)bench;
	return thv_ioctl(thv_device(), THV_CREATE_VM,
			 &(struct thv_create_vm){ .paging = THV_PAGING_SHADOW });
}

FIXTURE_VARIANT_ADD(failing, create_shadowed_vm) { .attempt = create_shadowed_vm, .makes_fd = true };

static int open_vm(struct bench *bench)
{
	return thv_ioctl(thv_device(), THV_OPEN_VM, &(struct thv_open_vm){ .id = bench->vm->id });
}

FIXTURE_VARIANT_ADD(failing, open_vm) { .attempt = open_vm, .makes_fd = true };

/* ---- a VM ---- */

static void make_bare(struct bench *bench)
{
	bench->fresh = vm_create_bare(0);
}

static void drop_fresh(struct bench *bench)
{
	vm_close(bench->fresh);
}

static int create_vcpu(struct bench *bench)
{
	return thv_ioctl(bench->fresh->fd, THV_CREATE_VCPU, &(struct thv_create_vcpu){ .id = 0 });
}

FIXTURE_VARIANT_ADD(failing, create_vcpu) {
	.before = make_bare, .attempt = create_vcpu, .after = drop_fresh, .makes_fd = true,
};

static int add_slot(struct bench *bench)
{
	return vm_set_memory(bench->vm, 2, THV_MEMORY_LOG_DIRTY, 2 * FAR, SPREAD,
			     bench->far + SPREAD);
}

static int delete_slot(struct bench *bench)
{
	return vm_set_memory(bench->vm, 2, 0, 0, 0, NULL);
}

static int move_slot(struct bench *bench)
{
	return vm_set_memory(bench->vm, 2, 0, 3 * FAR, SPREAD, bench->far + SPREAD);
}

static void slot_there(struct bench *bench)
{
	must(add_slot(bench));
}

static void slot_away(struct bench *bench)
{
	delete_slot(bench);
}

FIXTURE_VARIANT_ADD(failing, add_slot) { .attempt = add_slot, .after = slot_away };
FIXTURE_VARIANT_ADD(failing, move_slot) {
	.before = slot_there, .attempt = move_slot, .after = slot_away,
};

FIXTURE_VARIANT_ADD(failing, delete_slot) {
	.before = slot_there, .attempt = delete_slot, .after = slot_away,
};

static int get_bitmap(struct bench *bench, unsigned long cmd)
{
	struct thv_bitmap bitmap = {
		.slot = 1, .bitmap = (uintptr_t)bench->buffer, .size = SPREAD / PAGE / 8,
	};

	return thv_ioctl(bench->vm->fd, cmd, &bitmap);
}

static int get_dirty(struct bench *bench)
{
	return get_bitmap(bench, THV_GET_DIRTY);
}

static int get_accessed(struct bench *bench)
{
	return get_bitmap(bench, THV_GET_ACCESSED);
}

FIXTURE_VARIANT_ADD(failing, get_dirty) { .attempt = get_dirty };
FIXTURE_VARIANT_ADD(failing, get_accessed) { .attempt = get_accessed };

static int irqfd(struct bench *bench, u32 flags)
{
	struct thv_irqfd irqfd = {
		.fd = bench->eventfd, .flags = flags, .msi = { .address = 0xfee00000, .data = 64 },
	};

	return thv_ioctl(bench->vm->fd, THV_IRQFD, &irqfd);
}

static int bind_irqfd(struct bench *bench)
{
	return irqfd(bench, 0);
}

static int unbind_irqfd(struct bench *bench)
{
	return irqfd(bench, THV_IRQFD_DEASSIGN);
}

static void irqfd_there(struct bench *bench)
{
	must(bind_irqfd(bench));
}

static void irqfd_away(struct bench *bench)
{
	unbind_irqfd(bench);
}

FIXTURE_VARIANT_ADD(failing, bind_irqfd) { .attempt = bind_irqfd, .after = irqfd_away };
FIXTURE_VARIANT_ADD(failing, unbind_irqfd) { .before = irqfd_there, .attempt = unbind_irqfd };

static int doorbell(struct bench *bench, u16 port, u32 flags)
{
	struct thv_ioeventfd doorbell = {
		.fd = bench->eventfd, .flags = flags | THV_IOEVENTFD_PORT, .address = port, .length = 1,
	};

	return thv_ioctl(bench->vm->fd, THV_IOEVENTFD, &doorbell);
}

static int add_doorbell(struct bench *bench)
{
	return doorbell(bench, 0x80, 0);
}

static int remove_doorbell(struct bench *bench)
{
	return doorbell(bench, 0x80, THV_IOEVENTFD_DEASSIGN);
}

/* Of two, so that a table of one is left to be made */
static void two_doorbells(struct bench *bench)
{
	must(add_doorbell(bench));
	must(doorbell(bench, 0x81, 0));
}

static void other_doorbell_away(struct bench *bench)
{
	must(doorbell(bench, 0x81, THV_IOEVENTFD_DEASSIGN));
}

static void doorbell_away(struct bench *bench)
{
	remove_doorbell(bench);
}

FIXTURE_VARIANT_ADD(failing, add_doorbell) { .attempt = add_doorbell, .after = doorbell_away };
FIXTURE_VARIANT_ADD(failing, remove_doorbell) {
	.before = two_doorbells, .attempt = remove_doorbell, .after = other_doorbell_away,
};

static int signal_msi(struct bench *bench)
{
	return thv_ioctl(bench->vm->fd, THV_SIGNAL_MSI,
			 &(struct thv_msi){ .address = 0xfee00000, .data = 64 });
}

FIXTURE_VARIANT_ADD(failing, signal_msi) { .attempt = signal_msi };

static int pause_vm(struct bench *bench)
{
	return thv_ioctl(bench->vm->fd, THV_CONTROL, &(struct thv_control){ .state = THV_VM_PAUSED });
}

static void resume_vm(struct bench *bench)
{
	must(thv_ioctl(bench->vm->fd, THV_CONTROL, &(struct thv_control){ .state = THV_VM_RUNNING }));
}

FIXTURE_VARIANT_ADD(failing, pause_vm) { .attempt = pause_vm, .after = resume_vm };

static int get_stats(struct bench *bench)
{
	return thv_ioctl(bench->vm->fd, THV_GET_STATS, &(struct thv_vm_stats){});
}

FIXTURE_VARIANT_ADD(failing, get_stats) { .attempt = get_stats };

/* ---- a vCPU's state ---- */

static const u32 sizes[] = {
	[THV_STATE_REGS] = sizeof(struct thv_regs), [THV_STATE_SREGS] = sizeof(struct thv_sregs),
	[THV_STATE_FPU] = sizeof(struct thv_fpu), [THV_STATE_DEBUG] = sizeof(struct thv_debug),
	[THV_STATE_MSRS] = sizeof(struct thv_msr), [THV_STATE_APIC] = sizeof(struct thv_apic),
	[THV_STATE_EVENTS] = sizeof(struct thv_event_state), [THV_STATE_TSC] = sizeof(struct thv_tsc),
};

#define MSR_TSC_ADJUST	0x3b
#define STATE_SPACE	8192	/* more than any component */

static void clear_buffer(struct bench *bench)
{
	memset(bench->buffer, 0, STATE_SPACE);
	((struct thv_msr *)bench->buffer)->index = MSR_TSC_ADJUST;
}

static void get_buffer(struct bench *bench, u32 component)
{
	clear_buffer(bench);
	must(vcpu_get(bench->vcpu, component, bench->buffer, sizes[component]));
}

/* To get it, to set it to what it is, and to look at it from outside */
#define STATE(name, NAME)							\
	static void has_##name(struct bench *bench)				\
	{									\
		get_buffer(bench, THV_STATE_##NAME);				\
	}									\
	static int get_##name(struct bench *bench)				\
	{									\
		return vcpu_get(bench->vcpu, THV_STATE_##NAME, bench->buffer,	\
				sizes[THV_STATE_##NAME]);			\
	}									\
	static int set_##name(struct bench *bench)				\
	{									\
		return vcpu_set(bench->vcpu, THV_STATE_##NAME, bench->buffer,	\
				sizes[THV_STATE_##NAME]);			\
	}									\
	static int inspect_##name(struct bench *bench)				\
	{									\
		return thv_ioctl(bench->control, THV_INSPECT_STATE,		\
				 &(struct thv_inspect_state){			\
			.component = THV_STATE_##NAME, .size = sizes[THV_STATE_##NAME],	\
			.data = (uintptr_t)bench->buffer });			\
	}									\
	FIXTURE_VARIANT_ADD(failing, get_##name) {				\
		.before = clear_buffer, .attempt = get_##name };		\
	FIXTURE_VARIANT_ADD(failing, set_##name) {				\
		.before = has_##name, .attempt = set_##name };			\
	FIXTURE_VARIANT_ADD(failing, inspect_##name) {				\
		.before = clear_buffer, .attempt = inspect_##name }

STATE(regs, REGS);
STATE(sregs, SREGS);
STATE(fpu, FPU);
STATE(debug, DEBUG);
STATE(msrs, MSRS);
STATE(apic, APIC);
STATE(events, EVENTS);
STATE(tsc, TSC);

/* ---- looking into it ---- */

static int translate(struct bench *bench)
{
	return thv_ioctl(bench->vcpu->fd, THV_TRANSLATE,
			 &(struct thv_translate){ .gla = GUEST_DATA, .access = THV_ACCESS_READ });
}

static int inspect_translate(struct bench *bench)
{
	return thv_ioctl(bench->control, THV_INSPECT_TRANSLATE, &(struct thv_inspect_translate){
		.translate = { .gla = GUEST_DATA, .access = THV_ACCESS_READ } });
}

static int read_memory(struct bench *bench)
{
	return thv_ioctl(bench->control, THV_READ_MEMORY, &(struct thv_read_memory){
		.gpa = GUEST_DATA, .size = 2 * PAGE, .data = (uintptr_t)bench->buffer });
}

static int get_fields(struct bench *bench)
{
	return thv_ioctl(bench->control, THV_GET_FIELDS, &(struct thv_get_fields){
		.count = 200, .data = (uintptr_t)bench->buffer });
}

static int explain(struct bench *bench, int fd)
{
	return thv_ioctl(fd, THV_EXPLAIN, &(struct thv_explain){
		.size = PAGE, .text = (uintptr_t)bench->buffer });
}

static int explain_own(struct bench *bench)
{
	return explain(bench, bench->vcpu->fd);
}

static int explain_other(struct bench *bench)
{
	return explain(bench, bench->control);
}

static void open_control(struct bench *bench)
{
	bench->fd = must(open_vm(bench));
}

static void close_control(struct bench *bench)
{
	close(bench->fd);
}

static int keep_ledger(struct bench *bench)
{
	return thv_ioctl(bench->fd, THV_KEEP_LEDGER, NULL);
}

static int get_ledger(struct bench *bench)
{
	return thv_ioctl(bench->control, THV_GET_LEDGER, &(struct thv_get_ledger){
		.count = 4, .data = (uintptr_t)bench->buffer });
}

static int send_nmi(struct bench *bench)
{
	return thv_ioctl(bench->control, THV_SEND_NMI, &(struct thv_vcpu_select){});
}

static int debug_guest(struct bench *bench)
{
	return thv_ioctl(bench->vcpu->fd, THV_DEBUG_GUEST,
			 &(struct thv_debug_guest){ .flags = THV_DEBUG_BREAKPOINTS });
}

static int access_apic(struct bench *bench)
{
	return thv_ioctl(bench->vcpu->fd, THV_APIC_ACCESS,
			 &(struct thv_apic_access){ .offset = 0x20, .length = 4 });
}

static int interrupt(struct bench *bench)
{
	return thv_ioctl(bench->vcpu->fd, THV_INTERRUPT, &(struct thv_interrupt){ .vector = 64 });
}

FIXTURE_VARIANT_ADD(failing, translate) { .attempt = translate };
FIXTURE_VARIANT_ADD(failing, inspect_translate) { .attempt = inspect_translate };
FIXTURE_VARIANT_ADD(failing, read_memory) { .attempt = read_memory };
FIXTURE_VARIANT_ADD(failing, get_fields) { .attempt = get_fields };
FIXTURE_VARIANT_ADD(failing, explain_own) { .attempt = explain_own };
FIXTURE_VARIANT_ADD(failing, explain_other) { .attempt = explain_other };
FIXTURE_VARIANT_ADD(failing, keep_ledger) {
	.before = open_control, .attempt = keep_ledger, .after = close_control,
};

FIXTURE_VARIANT_ADD(failing, get_ledger) { .attempt = get_ledger };
FIXTURE_VARIANT_ADD(failing, send_nmi) { .attempt = send_nmi };
FIXTURE_VARIANT_ADD(failing, debug_guest) { .attempt = debug_guest };
FIXTURE_VARIANT_ADD(failing, access_apic) { .attempt = access_apic };
FIXTURE_VARIANT_ADD(failing, interrupt) { .attempt = interrupt };

/* ---- the run page, and running ---- */

static int map_run_page(struct bench *bench)
{
	bench->page = mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE,
			   bench->vcpu->fd, 0);
	return bench->page == MAP_FAILED ? -errno : 0;
}

static void unmap_run_page(struct bench *bench)
{
	if (bench->page != MAP_FAILED)
		munmap(bench->page, THV_RUN_SIZE);
}

FIXTURE_VARIANT_ADD(failing, map_run_page) { .attempt = map_run_page, .after = unmap_run_page };

/* A guest whose next accesses find neither a page nor tables to enter it in */
static void make_untouched(struct bench *bench)
{
	u8 *memory = bench->far + SPREAD;

	madvise(memory, TOUCHES * SPREAD, MADV_DONTNEED);
	bench->fresh = vm_create(access);
	must(vm_set_memory(bench->fresh, 1, 0, FAR, TOUCHES * SPREAD, memory));
	guest_start(bench->fresh->vcpu, guest_access_fill, FAR, SPREAD, TOUCHES, 1);
}

/* What the host's memory could not give is an exit of its own */
static int run(struct bench *bench)
{
	struct vcpu *vcpu = bench->fresh->vcpu;
	int result = vcpu_run(vcpu);

	if (result)
		return result;
	if (vcpu->run->exit == THV_EXIT_MEMORY_FAULT)
		return -vcpu->run->memory_fault.error;
	return vcpu->run->exit == THV_EXIT_IO ? 0 : -EIO;
}

FIXTURE_VARIANT_ADD(failing, touch_memory) {
	.before = make_untouched, .attempt = run, .after = drop_fresh,
};

/* ---- netlink ---- */

static void open_socket(struct bench *bench)
{
	struct timeval patience = { .tv_sec = 20 };	/* else an answer that is lost is waited for */

	bench->asking = nl_open();
	setsockopt(bench->asking->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
}

static void close_socket(struct bench *bench)
{
	nl_close(bench->asking);
}

static int ask(struct bench *bench, u8 command, u16 flags)
{
	struct nl_request request;

	nl_begin(&request, bench->asking, command, flags);
	nl_put_device(&request);
	if (command != THV_CMD_GET_HOST && !(flags & NLM_F_DUMP && command == THV_CMD_GET_VM))
		nl_put_u32(&request, THV_ATTR_VM, bench->vm->id);
	return nl_ask(bench->asking, &request, NULL, NULL);
}

static int ask_host(struct bench *bench)
{
	return ask(bench, THV_CMD_GET_HOST, 0);
}

static int ask_vm(struct bench *bench)
{
	return ask(bench, THV_CMD_GET_VM, 0);
}

static int ask_all(struct bench *bench)
{
	return ask(bench, THV_CMD_GET_VM, NLM_F_DUMP);
}

static int ask_vcpus(struct bench *bench)
{
	return ask(bench, THV_CMD_GET_VCPU, NLM_F_DUMP);
}

static int ask_stats(struct bench *bench)
{
	return ask(bench, THV_CMD_GET_STATS, 0);
}

static int subscribe(struct bench *bench)
{
	return nl_subscribe(bench->asking, THV_GROUP_LIFECYCLE, 0, 0);
}

static void open_listener(struct bench *bench)
{
	open_socket(bench);
	must(subscribe(bench));
}

#define ON_A_SOCKET(function)							\
	FIXTURE_VARIANT_ADD(failing, function) {				\
		.before = open_socket, .attempt = function, .after = close_socket, .spent = true }

ON_A_SOCKET(ask_host);
ON_A_SOCKET(ask_vm);
ON_A_SOCKET(ask_all);
ON_A_SOCKET(ask_vcpus);
ON_A_SOCKET(ask_stats);
ON_A_SOCKET(subscribe);

/* A VM is made although nobody can be told of it */
FIXTURE_VARIANT_ADD(failing, create_vm_with_a_listener) {
	.before = open_listener, .attempt = create_vm, .after = close_socket, .makes_fd = true,
};

/* To close one cannot be refused either */
static int close_vm(struct bench *bench)
{
	int result = close(bench->fresh->fd);

	bench->fresh->fd = -1;
	return result;
}

static void make_heard_of(struct bench *bench)
{
	make_bare(bench);
	vcpu_close(vcpu_create(bench->fresh, 0));
	open_listener(bench);
}

static void drop_heard_of(struct bench *bench)
{
	close_socket(bench);
	drop_fresh(bench);
}

FIXTURE_VARIANT_ADD(failing, close_vm_with_a_listener) {
	.before = make_heard_of, .attempt = close_vm, .after = drop_heard_of,
};

FAIL_NTH_MAIN
