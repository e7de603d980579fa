/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * thv: the interface between the module and the launcher.
 *
 * /dev/thv makes VMs, a VM makes vCPUs, and a vCPU runs: three kinds of file
 * descriptor, each with the ioctls of its own section below.
 *
 * Rules that hold for every ioctl
 *
 * - The argument is a struct whose size is part of the ioctl's number. A caller
 *   built against an older, shorter struct is served as if the rest were zero; a
 *   newer, longer one is -E2BIG unless what we don't know is zero.
 * - Reserved fields and unknown flags must be zero, else -EINVAL. Every byte of
 *   an output is written.
 * - No pointers but __u64, no holes: 32- and 64-bit callers share one layout.
 * - A VM belongs to the process (the address space) that created it. From
 *   another one, VM and vCPU ioctls are -EIO; only control descriptors
 *   (THV_OPEN_VM) work from elsewhere.
 * - Beside what each names: -EFAULT, the argument cannot be read or written;
 *   -ENOTTY, no such ioctl on this kind of descriptor; -ENOMEM; -EIO, the VM
 *   is dead (the kernel log says why).
 */
#ifndef _UAPI_THV_H
#define _UAPI_THV_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define THV_API_VERSION	1
#define THV_IOCTL_TYPE	0xBC
#define THV_NAME_LEN	32	/* a VM's name, terminating zero included */
#define THV_MAX_VCPUS	64
#define THV_MAX_SLOTS	64
#define THV_RUN_SIZE	4096	/* bytes to mmap of a vCPU descriptor */

/* ---- /dev/thv ---------------------------------------------------------- */

/* What a processor offers and a VM uses: bits of thv_info.offered and .used */
#define THV_FEATURE_EPT			(1ULL << 0)  /* second-level translation */
#define THV_FEATURE_VPID		(1ULL << 1)  /* tagged TLB */
#define THV_FEATURE_UNRESTRICTED	(1ULL << 2)  /* real mode, unpaged mode */
#define THV_FEATURE_EPT_AD		(1ULL << 3)  /* accessed and dirty flags */
#define THV_FEATURE_EPT_2M		(1ULL << 4)
#define THV_FEATURE_EPT_1G		(1ULL << 5)
#define THV_FEATURE_TPR_SHADOW		(1ULL << 6)
#define THV_FEATURE_APIC_REGISTERS	(1ULL << 7)  /* APIC-register virtualization */
#define THV_FEATURE_VIRTUAL_INTERRUPTS	(1ULL << 8)  /* virtual-interrupt delivery */
#define THV_FEATURE_PREEMPTION_TIMER	(1ULL << 9)
#define THV_FEATURE_PML			(1ULL << 10) /* page-modification logging */
#define THV_FEATURE_TSC_SCALING		(1ULL << 11)
#define THV_FEATURE_POSTED_INTERRUPTS	(1ULL << 12)
#define THV_FEATURE_EPT_EXECUTE_ONLY	(1ULL << 13)
#define THV_FEATURE_VIRTUAL_X2APIC	(1ULL << 14)
#define THV_FEATURE_XSAVES		(1ULL << 15)
#define THV_FEATURE_RDTSCP		(1ULL << 16)
#define THV_FEATURE_INVPCID		(1ULL << 17)
#define THV_FEATURE_MONITOR_TRAP	(1ULL << 18) /* an exit after each instruction */
#define THV_FEATURE_PAUSE_LOOP		(1ULL << 19) /* an exit of a loop that waits */

enum thv_backend_id {
	THV_BACKEND_VMX = 1,
	THV_BACKEND_SVM = 2,
};

/**
 * struct thv_info - THV_GET_INFO: what this module and this processor are.
 * @api_version: THV_API_VERSION of the module.
 * @backend: enum thv_backend_id.
 * @offered: THV_FEATURE_* bits the processor has.
 * @used: those of @offered that new VMs use by default.
 * @max_vcpus: vCPUs a VM may have; ids and APIC ids are below it.
 * @max_slots: memory slots a VM may have; slot ids are below it.
 * @guest_phys_bits: width of a guest-physical address.
 * @tsc_khz: rate of the guest's time-stamp counter.
 */
struct thv_info {
	__u32 api_version;
	__u32 backend;
	__u64 offered;
	__u64 used;
	__u32 max_vcpus;
	__u32 max_slots;
	__u32 guest_phys_bits;
	__u32 tsc_khz;
	__u64 reserved[4];
};

enum thv_paging {
	THV_PAGING_DEFAULT = 0,	/* the best there is */
	THV_PAGING_EPT = 1,
	THV_PAGING_SHADOW = 2,
};

/* thv_create_vm.flags */
#define THV_VM_NO_VPID	(1U << 0)	/* flush the TLB at each entry instead of tagging it */
#define THV_VM_NO_HUGE	(1U << 1)	/* map 4 KiB pages only */
#define THV_VM_NO_APICV	(1U << 2)	/* do not let the processor virtualize the APIC */
#define THV_VM_NO_MONITOR_TRAP (1U << 3) /* make single steps without the monitor trap flag */
#define THV_VM_NO_PML	(1U << 4)	/* find dirty pages by their flags, not by the processor's log */
#define THV_VM_NO_EPT_AD (1U << 5)	/* find used and dirty pages by faults; no log either */
#define THV_VM_NO_FAULT_AROUND (1U << 6) /* map one page a fault, without its neighbours */
#define THV_VM_NO_PREEMPTION_TIMER (1U << 7) /* have TSC deadlines watched by the host, not the processor */

/**
 * struct thv_create_vm - THV_CREATE_VM: make a VM; the ioctl returns its descriptor.
 * @paging: enum thv_paging.
 * @flags: THV_VM_*.
 * @name: for people: printable ASCII without '/', terminated by zero; empty
 *	stands for "vm-<id>".
 * @id: out; the VM's number, for THV_OPEN_VM and in reports.
 *
 * The descriptor is close-on-exec.
 *
 * Errors: -EINVAL, an unknown @paging or flag, a bad @name; -EOPNOTSUPP, this
 * processor has no EPT; -EMFILE, -ENFILE, no
 * descriptor left; -ENOSPC, no VM number left.
 */
struct thv_create_vm {
	__u32 paging;
	__u32 flags;
	char name[THV_NAME_LEN];
	__u32 id;
	__u32 reserved[7];
};

/**
 * struct thv_open_vm - THV_OPEN_VM: a control descriptor on a running VM.
 * @id: the VM's number.
 *
 * The caller must be the user who created the VM or have CAP_SYS_ADMIN in the
 * initial user namespace. The descriptor takes the ioctls marked "control"
 * below; it keeps the VM's number in use, not its memory.
 *
 * Errors: -ENOENT, no such VM; -EPERM, it is someone else's.
 */
struct thv_open_vm {
	__u32 id;
	__u32 reserved[3];
};

/**
 * struct thv_cpuid - THV_GET_CPUID: what a guest on this machine is told.
 * @leaf, @subleaf: in; EAX and ECX of the CPUID instruction.
 * @eax, @ebx, @ecx, @edx: out; for vCPU 0 of a new VM.
 */
struct thv_cpuid {
	__u32 leaf;
	__u32 subleaf;
	__u32 eax;
	__u32 ebx;
	__u32 ecx;
	__u32 edx;
	__u32 reserved[2];
};

#define THV_GET_INFO	_IOR(THV_IOCTL_TYPE, 0x00, struct thv_info)
#define THV_CREATE_VM	_IOWR(THV_IOCTL_TYPE, 0x01, struct thv_create_vm)
#define THV_OPEN_VM	_IOW(THV_IOCTL_TYPE, 0x02, struct thv_open_vm)
#define THV_GET_CPUID	_IOWR(THV_IOCTL_TYPE, 0x03, struct thv_cpuid)

/* ---- a VM -------------------------------------------------------------- */

/* thv_memory.flags */
#define THV_MEMORY_READONLY	(1U << 0)	/* a write is an MMIO exit */
#define THV_MEMORY_LOG_DIRTY	(1U << 1)	/* keep the bitmap of THV_GET_DIRTY */
#define THV_MEMORY_NOEXEC	(1U << 2)	/* a fetch is THV_EXIT_MEMORY_FAULT with EACCES */

/**
 * struct thv_memory - THV_SET_MEMORY: add, move, change or delete a slot.
 * @slot: its id, below thv_info.max_slots.
 * @flags: THV_MEMORY_*.
 * @gpa: where the guest sees it; a multiple of 4096.
 * @size: bytes, a multiple of 4096; 0 deletes the slot.
 * @hva: where it is in the caller's address space; a multiple of 4096. The
 *	memory is not pinned: the host may do to it what it does to any.
 *
 * An existing slot may be moved (@gpa) or have its @flags changed; its @size
 * and @hva are fixed until it is deleted.
 *
 * Errors: -EINVAL, misaligned, wraps, beyond the guest-physical or the user
 * address space, a changed size or hva, slot id too large, delete of a slot
 * that is not there; -EEXIST, overlaps another slot, the APIC's page or,
 * where there is no unrestricted guest, the page at 0xfedff000.
 */
struct thv_memory {
	__u32 slot;
	__u32 flags;
	__u64 gpa;
	__u64 size;
	__u64 hva;
	__u64 reserved[2];
};

/**
 * struct thv_bitmap - THV_GET_DIRTY and THV_GET_ACCESSED: get and clear.
 * @slot: a slot's id.
 * @flags: none yet.
 * @bitmap: user memory, one bit a 4 KiB page, from the slot's start, rounded
 *	up to 8 bytes; little-endian 64-bit words.
 * @size: bytes at @bitmap; at least what the slot needs.
 * @count: out; bits set.
 *
 * Errors: -ENOENT, no such slot; -EINVAL, @size too small or, for THV_GET_DIRTY,
 * a slot without THV_MEMORY_LOG_DIRTY; -ENOMEM; -EFAULT, @bitmap cannot be written, and -EINTR, the
 * caller is being killed: the bits up to there have been handed out (and cleared) or are kept for the
 * next call, none is lost. Those of the 4 KiB of @bitmap in which it failed may be told twice.
 */
struct thv_bitmap {
	__u32 slot;
	__u32 flags;
	__u64 bitmap;
	__u64 size;
	__u64 count;
};

/**
 * struct thv_create_vcpu - THV_CREATE_VCPU: the ioctl returns a descriptor.
 * @id: below thv_info.max_vcpus; also its APIC id. vCPU 0 is the bootstrap
 *	processor and starts in the reset state, running; the others wait for INIT-SIPI.
 *
 * Errors: -EINVAL, @id too large; -EEXIST, there is one.
 */
struct thv_create_vcpu {
	__u32 id;
	__u32 reserved[3];
};

/**
 * struct thv_msi - THV_SIGNAL_MSI: deliver a message-signalled interrupt.
 * @address: as the device would write it: 0xfeeXXXXX (SDM 11.11.1); bits 63:40
 *	hold APIC-id bits 31:8 where 8 bits do not suffice.
 * @data: likewise (SDM 11.11.2).
 *
 * Returns the number of vCPUs it reached. Errors: -EINVAL, not an MSI address,
 * or a reserved delivery mode.
 */
struct thv_msi {
	__u64 address;
	__u32 data;
	__u32 reserved;
};

/* thv_irqfd.flags */
#define THV_IRQFD_DEASSIGN	(1U << 0)

/**
 * struct thv_irqfd - THV_IRQFD: an eventfd that delivers an MSI when signalled.
 * @fd: the eventfd.
 * @flags: THV_IRQFD_DEASSIGN undoes it (@msi must match).
 * @msi: what to deliver.
 *
 * Errors: -EBADF or -EINVAL, not an eventfd; -EINVAL, a bad MSI; -EBUSY, that
 * eventfd is bound already; -ENOENT, deassign of what is not there; -ENOSPC,
 * too many.
 */
struct thv_irqfd {
	__s32 fd;
	__u32 flags;
	struct thv_msi msi;
};

/* thv_ioeventfd.flags */
#define THV_IOEVENTFD_DEASSIGN	(1U << 0)
#define THV_IOEVENTFD_PORT	(1U << 1)	/* @address is an I/O port, else guest-physical */
#define THV_IOEVENTFD_DATAMATCH	(1U << 2)	/* only writes of @datamatch */

/**
 * struct thv_ioeventfd - THV_IOEVENTFD: a guest's write that signals an eventfd.
 * @fd: the eventfd.
 * @flags: THV_IOEVENTFD_*.
 * @address: of the write: exact match.
 * @length: of the write: 1, 2, 4 or 8; 0 is any length (no datamatch then). A
 *	memory doorbell takes only 0: its write is not decoded in the kernel.
 * @datamatch: see the flag.
 *
 * Errors: -EBADF or -EINVAL, not an eventfd; -EINVAL, an impossible length or
 * address; -EEXIST, the same doorbell is taken; -ENOENT; -ENOSPC, too many.
 */
struct thv_ioeventfd {
	__s32 fd;
	__u32 flags;
	__u64 address;
	__u64 datamatch;
	__u32 length;
	__u32 reserved;
};

enum thv_vm_state {
	THV_VM_RUNNING = 0,
	THV_VM_PAUSED = 1,
	THV_VM_STOPPED = 2,	/* RUN returns THV_EXIT_STOPPED from now on */
	THV_VM_DEAD = 3,	/* everything is -EIO */
};

/**
 * struct thv_control - THV_CONTROL: (control) pause, resume, stop or kill.
 * @state: the enum thv_vm_state to go to. PAUSED holds every vCPU in
 *	THV_RUN, RUNNING lets them go on; STOPPED and DEAD are for good.
 *
 * Returns when no vCPU runs any more (PAUSED, STOPPED, DEAD).
 * Errors: -EINVAL, unknown @state; -EBUSY, no way from the present state;
 * -EINTR, a signal came first (the state is changed all the same).
 */
struct thv_control {
	__u32 state;
	__u32 reserved[3];
};

/* thv_vm_stats.counter[]: see module/stats.h, where each is declared and described */
#define THV_MAX_COUNTERS	64

/**
 * struct thv_vm_stats - THV_GET_STATS: (control) a VM's state and counters.
 * @id, @name, @state (enum thv_vm_state), @vcpus, @paging (enum thv_paging),
 * @features: THV_FEATURE_* bits this VM uses.
 * @counters: out; how many of @counter[] are in use.
 * @counter: in the order of module/stats.h; summed over the vCPUs.
 */
struct thv_vm_stats {
	__u32 id;
	__u32 state;
	__u32 vcpus;
	__u32 paging;
	__u64 features;
	char name[THV_NAME_LEN];
	__u32 counters;
	__u32 reserved[7];
	__u64 counter[THV_MAX_COUNTERS];
};

#define THV_SET_MEMORY	_IOW(THV_IOCTL_TYPE, 0x10, struct thv_memory)
#define THV_GET_DIRTY	_IOWR(THV_IOCTL_TYPE, 0x11, struct thv_bitmap)
#define THV_GET_ACCESSED _IOWR(THV_IOCTL_TYPE, 0x12, struct thv_bitmap)
#define THV_CREATE_VCPU	_IOW(THV_IOCTL_TYPE, 0x13, struct thv_create_vcpu)
#define THV_SIGNAL_MSI	_IOW(THV_IOCTL_TYPE, 0x14, struct thv_msi)
#define THV_IRQFD	_IOW(THV_IOCTL_TYPE, 0x15, struct thv_irqfd)
#define THV_IOEVENTFD	_IOW(THV_IOCTL_TYPE, 0x16, struct thv_ioeventfd)
#define THV_CONTROL	_IOW(THV_IOCTL_TYPE, 0x17, struct thv_control)
#define THV_GET_STATS	_IOR(THV_IOCTL_TYPE, 0x18, struct thv_vm_stats)

/* ---- looking into a VM that runs --------------------------------------- */

/*
 * These are for control descriptors (THV_OPEN_VM): another process looks at a VM. A vCPU that
 * runs is held up for the moment of the call, between two entries into the guest; one in the
 * launcher's hands is looked at as it is. After a look the vCPU is left alone for as long as that
 * took. Guest memory that the host has not yet given reads as zeros, and is not given by
 * looking. Beside what each says: -ENOENT, no such vCPU; -EINTR, a signal came while the vCPU could
 * not be had; -EIO, the VM is dead or gone; where memory is read, -ESRCH: the process that the VM
 * belongs to has ended, and its memory with it.
 *
 * poll() of a control descriptor: POLLIN once the VM is STOPPED or DEAD, POLLHUP when it is gone.
 */

/**
 * struct thv_vcpu_select - THV_SEND_NMI: (control) an NMI for a vCPU.
 * @vcpu: its id.
 */
struct thv_vcpu_select {
	__u32 vcpu;
	__u32 reserved[3];
};

/**
 * struct thv_inspect_state - THV_INSPECT_STATE: (control) a component of a vCPU's state.
 * @vcpu: its id.
 * @component, @size, @data: as of struct thv_state; for THV_STATE_MSRS the
 *	return value is the number read.
 *
 * Errors: -EINVAL, unknown component or wrong size.
 */
struct thv_inspect_state {
	__u32 vcpu;
	__u32 component;
	__u32 size;
	__u32 reserved;
	__u64 data;
};

/**
 * struct thv_read_memory - THV_READ_MEMORY: (control) guest-physical memory.
 * @gpa: where to begin.
 * @size: bytes, at most 1 MiB.
 * @data: user memory of that size.
 *
 * Returns the number of bytes read, which is less than @size where memory (or what the launcher
 * itself could read of it) ends.
 * Errors: -EINVAL, @size too large, or @gpa + @size wraps; -ENXIO, nothing of it is memory.
 */
struct thv_read_memory {
	__u64 gpa;
	__u64 size;
	__u64 data;
	__u64 reserved;
};

/* A field of the vendor's control structure: VMX: its encoding (SDM appendix B) */
struct thv_field {
	__u32 field;
	__u32 reserved;
	__u64 value;
};

/**
 * struct thv_get_fields - THV_GET_FIELDS: (control) the vendor's control structure (VMCS).
 * @vcpu: the vCPU's id.
 * @count: in: how many struct thv_field there is room for at @data; out: how many
 *	there are, which may be more: then the first ones have been given.
 * @data: user memory.
 *
 * Fields that the processor does not have are left out. Host state, and where in host-physical
 * memory things are, read 0 for callers without CAP_SYS_ADMIN.
 */
struct thv_get_fields {
	__u32 vcpu;
	__u32 count;
	__u64 data;
	__u64 reserved;
};

/**
 * struct thv_explain - THV_EXPLAIN: (control, vCPU) which rules of VM entry the vCPU breaks.
 * @vcpu: its id; of a vCPU descriptor, 0.
 * @count: out; how many rules its state breaks; 0: it could be entered.
 * @text: user memory for the rules, a sentence each with the manual's section, ended
 *	by a newline each, and by a zero; what does not fit is left out, rule by rule.
 * @size: bytes at @text, at most 64 KiB; 0: only count.
 *
 * Asked after THV_EXIT_FAIL_ENTRY it tells why that entry was refused; asked before a THV_RUN,
 * whether it would be: what that THV_RUN takes from the run page is not looked at. The
 * processor checks a few things that the rules do not know, so 0 is no promise. Values of host state and
 * where in host-physical memory things are, are left out for callers without CAP_SYS_ADMIN.
 *
 * Errors: -EINVAL, @size too large, or of a vCPU descriptor a @vcpu that is not 0; -EBUSY, of a vCPU
 * descriptor: a THV_RUN or another call is under way; -ENOMEM; -EFAULT, @text. Of a control
 * descriptor, those of all its calls besides.
 */
struct thv_explain {
	__u32 vcpu;
	__u32 count;
	__u64 text;
	__u64 size;
	__u64 reserved;
};

/* Of a log2 histogram: bucket n counts times of 2^n to 2^(n+1) - 1 cycles of the host */
#define THV_LEDGER_BUCKETS	40

/**
 * struct thv_ledger_row - what exits of one reason have cost one vCPU.
 * @reason: the vendor's exit reason (VMX: the basic one, SDM appendix C), or the number after
 *	the last one, for entries that the processor refused before they began.
 * @count: exits.
 * @user: of those, the ones that went to the launcher and came back.
 * @kernel_cycles: host cycles (TSC) from exit to re-entry, spent in the kernel.
 * @user_cycles: ... and in the launcher, from the return of THV_RUN to the next.
 * @kernel, @launcher: the histograms of the two, an exit counted in one bucket
 *	of each it took part in: by the whole time it took there, in however many parts.
 *
 * Times are the clock's: what the host did in between, interrupts and other tasks, is in
 * them, and so is waiting for memory. Sleep is not (HLT, waiting for a start-up IPI, a
 * paused VM): that is @asleep_cycles of struct thv_get_ledger. An exit that has not yet left
 * the kernel is in @count only.
 */
struct thv_ledger_row {
	__u32 reason;
	__u32 reserved;
	__u64 count;
	__u64 user;
	__u64 kernel_cycles;
	__u64 user_cycles;
	__u64 kernel[THV_LEDGER_BUCKETS];
	__u64 launcher[THV_LEDGER_BUCKETS];
};

/**
 * struct thv_get_ledger - THV_GET_LEDGER: (control, VM) a vCPU's exit ledger.
 * @vcpu: its id.
 * @count: in: room for so many struct thv_ledger_row at @data; out: how many
 *	reasons there have been, which may be more.
 * @data: user memory.
 * @guest_cycles: out; host cycles between entry and exit, the switch included.
 * @tsc_khz: out; host cycles a millisecond.
 * @asleep_cycles: out; host cycles halted, waiting for a start-up IPI, or paused.
 *
 * The ledger is kept while somebody wants it: from THV_KEEP_LEDGER (control, VM; no argument) on
 * a descriptor to the closing of that descriptor. What it holds stays, and is added to the
 * next time. While nobody wants it, it costs nothing.
 */
struct thv_get_ledger {
	__u32 vcpu;
	__u32 count;
	__u64 data;
	__u64 guest_cycles;
	__u32 tsc_khz;
	__u32 reserved;
	__u64 asleep_cycles;
};

#define THV_SEND_NMI	_IOW(THV_IOCTL_TYPE, 0x30, struct thv_vcpu_select)
#define THV_INSPECT_STATE _IOW(THV_IOCTL_TYPE, 0x31, struct thv_inspect_state)
#define THV_INSPECT_TRANSLATE _IOWR(THV_IOCTL_TYPE, 0x32, struct thv_inspect_translate)
#define THV_READ_MEMORY	_IOW(THV_IOCTL_TYPE, 0x33, struct thv_read_memory)
#define THV_GET_FIELDS	_IOWR(THV_IOCTL_TYPE, 0x34, struct thv_get_fields)
#define THV_EXPLAIN	_IOWR(THV_IOCTL_TYPE, 0x35, struct thv_explain)
#define THV_KEEP_LEDGER	_IO(THV_IOCTL_TYPE, 0x36)
#define THV_GET_LEDGER	_IOWR(THV_IOCTL_TYPE, 0x37, struct thv_get_ledger)

/* ---- a vCPU's state ---------------------------------------------------- */

/* Indexes of thv_regs.gpr[], in the processor's own numbering */
enum thv_gpr {
	THV_RAX, THV_RCX, THV_RDX, THV_RBX, THV_RSP, THV_RBP, THV_RSI, THV_RDI,
	THV_R8, THV_R9, THV_R10, THV_R11, THV_R12, THV_R13, THV_R14, THV_R15,
	THV_GPRS
};

/* THV_STATE_REGS: also in the run page */
struct thv_regs {
	__u64 gpr[THV_GPRS];
	__u64 rip;
	__u64 rflags;
};

/* Indexes of thv_sregs.seg[]: the order of the instruction encoding, then two more */
enum thv_segment_id {
	THV_ES, THV_CS, THV_SS, THV_DS, THV_FS, THV_GS, THV_LDTR, THV_TR, THV_SEGMENTS
};

/* thv_segment.attributes: bits 55:40 of a descriptor (SDM 3.4.5), and one of ours */
#define THV_SEG_TYPE		0x000fU
#define THV_SEG_S		0x0010U		/* code or data, not system */
#define THV_SEG_DPL		0x0060U
#define THV_SEG_P		0x0080U
#define THV_SEG_AVL		0x1000U
#define THV_SEG_L		0x2000U		/* 64-bit code */
#define THV_SEG_DB		0x4000U
#define THV_SEG_G		0x8000U
#define THV_SEG_UNUSABLE	0x10000U	/* a null selector was loaded */

struct thv_segment {
	__u64 base;
	__u32 limit;		/* in bytes, granularity applied */
	__u32 attributes;
	__u16 selector;
	__u16 reserved[3];
};

struct thv_table {
	__u64 base;
	__u32 limit;
	__u32 reserved;
};

/* THV_STATE_SREGS: modes, segments and tables */
struct thv_sregs {
	struct thv_segment seg[THV_SEGMENTS];
	struct thv_table gdt;
	struct thv_table idt;
	__u64 cr0;
	__u64 cr2;
	__u64 cr3;
	__u64 cr4;
	__u64 cr8;
	__u64 efer;
	__u64 pdptr[4];		/* with PAE paging: as loaded by the last MOV to CR3 */
	__u64 flags;		/* THV_SREGS_PDPTR: pdptr[] is meant; else read from memory */
	__u64 reserved[4];
};

#define THV_SREGS_PDPTR	(1ULL << 0)

/* THV_STATE_FPU: an XSAVE area in the standard (not compacted) format */
struct thv_fpu {
	__u64 xcr0;
	__u64 reserved[7];
	__u8 xsave[4096];
};

/* THV_STATE_DEBUG */
struct thv_debug {
	__u64 dr[4];
	__u64 dr6;
	__u64 dr7;
};

/* THV_STATE_MSRS: an array; index is read, value is read or written */
struct thv_msr {
	__u32 index;
	__u32 reserved;
	__u64 value;
};

/* THV_STATE_APIC */
struct thv_apic {
	__u64 base;		/* IA32_APIC_BASE */
	__u64 tsc_deadline;	/* IA32_TSC_DEADLINE, 0: disarmed */
	__u64 timer_remaining;	/* ns until the timer fires, 0: not running */
	__u64 reserved;
	__u8 regs[1024];	/* the xAPIC register page (SDM 11.4.1), 16 bytes a register */
};

enum thv_mp_state {
	THV_MP_RUNNING = 0,
	THV_MP_HALTED = 1,
	THV_MP_WAIT_SIPI = 2,	/* an INIT was taken (or this is not vCPU 0) */
};

/* thv_event_state.flags */
#define THV_EVENT_EXCEPTION	(1U << 0)	/* exception_* is to be delivered */
#define THV_EVENT_ERROR_CODE	(1U << 1)	/* ... with exception_error */
#define THV_EVENT_PAYLOAD	(1U << 2)	/* ... and CR2 or DR6 bits from exception_payload */
#define THV_EVENT_REINJECT	(1U << 3)	/* reinject is to be delivered again first */
#define THV_EVENT_NMI_PENDING	(1U << 4)
#define THV_EVENT_NMI_BLOCKED	(1U << 5)	/* an NMI handler has not yet done IRET */
#define THV_EVENT_STI_SHADOW	(1U << 6)	/* blocking by STI (SDM table 25-3) */
#define THV_EVENT_MOVSS_SHADOW	(1U << 7)	/* blocking by MOV SS or POP SS */
#define THV_EVENT_SIPI		(1U << 8)	/* sipi_vector is pending */
#define THV_EVENT_INIT		(1U << 9)	/* an INIT is pending */

/* THV_STATE_EVENTS. Setting an exception this way is how the launcher injects one. */
struct thv_event_state {
	__u32 flags;
	__u32 mp_state;			/* enum thv_mp_state */
	__u32 exception_vector;		/* 0..31 */
	__u32 exception_error;
	__u64 exception_payload;	/* #PF: CR2; #DB: DR6 bits */
	/* as VMX's and SVM's event word: bits 7:0 vector, 10:8 type, 11 has error */
	__u32 reinject;
	__u32 reinject_error;
	__u32 reinject_length;		/* instruction bytes, for software interrupts */
	__u32 sipi_vector;
	/* debug exceptions recognised, not yet delivered (DR6 layout) */
	__u64 pending_debug;
	__u64 reserved[2];
};

/* THV_STATE_TSC */
struct thv_tsc {
	__u64 tsc;		/* the guest's counter at the time of the call */
	__u64 adjust;		/* IA32_TSC_ADJUST */
	__u32 khz;		/* out */
	__u32 reserved;
};

enum thv_state_id {
	THV_STATE_REGS = 0,
	THV_STATE_SREGS = 1,
	THV_STATE_FPU = 2,
	THV_STATE_DEBUG = 3,
	THV_STATE_MSRS = 4,
	THV_STATE_APIC = 5,
	THV_STATE_EVENTS = 6,
	THV_STATE_TSC = 7,
};

/**
 * struct thv_state - THV_GET_STATE and THV_SET_STATE: one component of a vCPU.
 * @component: enum thv_state_id.
 * @size: bytes at @data: the component's struct, or for MSRS a multiple of
 *	sizeof(struct thv_msr), at most 256 of them.
 * @data: user memory.
 *
 * Only while the vCPU does not run. THV_SET_STATE checks as the processor
 * would: what a MOV, WRMSR or XSETBV of the guest would fault on is -EINVAL, and then
 * nothing of the component is changed (MSRS: the return value is the number set).
 *
 * Errors: -EINVAL, unknown component, wrong size, impossible value; -EBUSY,
 * THV_RUN is under way in another thread.
 */
struct thv_state {
	__u32 component;
	__u32 size;
	__u64 data;
};

/* thv_translate.access, and the access of faults */
#define THV_ACCESS_READ		(1U << 0)
#define THV_ACCESS_WRITE	(1U << 1)
#define THV_ACCESS_EXECUTE	(1U << 2)
#define THV_ACCESS_USER		(1U << 3)	/* at CPL 3 */
#define THV_ACCESS_IMPLICIT	(1U << 4)	/* implicit supervisor: descriptor tables */

/* THV_TRANSLATE alone: @gla is guest-physical already, and only the second level is followed */
#define THV_ACCESS_PHYSICAL	(1U << 8)

enum thv_translate_result {
	THV_TRANSLATE_OK = 0,
	THV_TRANSLATE_GUEST_FAULT = 1,	/* the guest's tables refuse it: #PF with error_code */
	THV_TRANSLATE_NO_SLOT = 2,	/* gpa is not memory */
	THV_TRANSLATE_NOT_MAPPED = 3,	/* memory, but the host has not yet given a frame */
	THV_TRANSLATE_HOST_FAULT = 4,	/* ... and its address is not readable there */
	THV_TRANSLATE_NON_CANONICAL = 5,
};

struct thv_translate_level {
	/* where the entry is: guest- or (second level) host-physical 0 if not told */
	__u64 address;
	__u64 entry;
	__u32 level;		/* 5..1, as in the SDM: 4 is PML4 */
	__u32 flags;		/* THV_LEVEL_* */
};

#define THV_LEVEL_PRESENT	(1U << 0)
#define THV_LEVEL_LEAF		(1U << 1)
#define THV_LEVEL_RESERVED	(1U << 2)	/* a reserved bit is set */

/**
 * struct thv_translate - THV_TRANSLATE: follow a guest-linear address.
 * @gla: the address, segment base added.
 * @access: THV_ACCESS_*; accessed and dirty bits are not touched.
 * @result: enum thv_translate_result.
 * @gpa: out; valid for all results but GUEST_FAULT and NON_CANONICAL.
 * @hva: out; the launcher's address of it, 0 if it is not memory.
 * @error_code: out; of the #PF, for GUEST_FAULT.
 * @page_size: out; bytes of the guest's page.
 * @permissions: out; THV_ACCESS_READ|WRITE|EXECUTE|USER the guest's tables give together.
 * @levels, @level: out; the guest's tables, root first.
 * @second_levels, @second: out; the second-level tables for @gpa, root first.
 * @cr0, @cr3, @cr4, @efer, @rflags: out; what the translation was made by: which
 *	format the guest's tables have, and what its supervisor may do.
 * @phys_bits: out; MAXPHYADDR as the guest is told: bits from there on are reserved.
 * @paging: out; enum thv_paging of the VM.
 * @shadow_levels, @shadow: out; with shadow paging: the tables that the processor walks for @gla, root
 *	first. There @second is what these are made of, and no processor walks it.
 * @reserved2: out; 0.
 *
 * Errors: -EBUSY, the vCPU is running.
 */
struct thv_translate {
	__u64 gla;
	__u32 access;
	__u32 result;
	__u64 gpa;
	__u64 hva;
	__u32 error_code;
	__u32 permissions;
	__u64 page_size;
	__u32 levels;
	__u32 second_levels;
	__u64 reserved;
	struct thv_translate_level level[5];
	struct thv_translate_level second[5];
	__u64 cr0;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	__u64 rflags;
	__u32 phys_bits;
	__u32 paging;
	__u32 shadow_levels;
	__u32 reserved2;
	struct thv_translate_level shadow[4];
};

/**
 * struct thv_inspect_translate - THV_INSPECT_TRANSLATE: (control) THV_TRANSLATE of a vCPU.
 * @vcpu: its id.
 * @translate: as there. -EINVAL: an unknown access.
 */
struct thv_inspect_translate {
	__u32 vcpu;
	__u32 reserved[3];
	struct thv_translate translate;
};

/* thv_debug_guest.flags */
#define THV_DEBUG_BREAKPOINTS	(1U << 0)	/* INT3 is an exit instead of the guest's #BP */
#define THV_DEBUG_STEP		(1U << 1)	/* an exit after each instruction */
#define THV_DEBUG_HARDWARE	(1U << 2)	/* @dr and @dr7 are in force, not the guest's own */

/**
 * struct thv_debug_guest - THV_DEBUG_GUEST: a debugger takes the guest's debug events.
 * @flags: THV_DEBUG_*; 0 ends it.
 * @dr: breakpoint addresses DR0 to DR3, for THV_DEBUG_HARDWARE, else 0.
 * @dr7: their enables, lengths and kinds (SDM 18.2.4), likewise; general detect and RTM not, nor
 *	breakpoints on ports, whose every access is an exit before it could be seen.
 *
 * What the debugger asked for is THV_EXIT_DEBUG; other debug exceptions stay the guest's.
 * The guest's own debug registers keep their values and read as it wrote them, but
 * with THV_DEBUG_HARDWARE do not act. It is no part of the vCPU's state.
 *
 * A step is one instruction, whoever carries it out; one iteration of a repeated string
 * instruction; or the delivery of the exception that the instruction raises, and then RIP is at
 * the handler. The guest's RFLAGS.TF has no part in it. Interrupts and NMIs that arrive meanwhile
 * are kept until the guest runs without THV_DEBUG_STEP, but they do end a HLT. Without
 * THV_FEATURE_MONITOR_TRAP, an STI is one step with the instruction after it, and a step in the
 * handler of an NMI ends with its IRET.
 *
 * Errors: -EINVAL, an unknown flag, an impossible DR7, an enabled breakpoint whose address is
 * non-canonical or not a multiple of its length; -EBUSY, THV_RUN is under way.
 */
struct thv_debug_guest {
	__u32 flags;
	__u32 reserved;
	__u64 dr[4];
	__u64 dr7;
	__u64 reserved2[2];
};

/* thv_apic_access.flags */
#define THV_APIC_WRITE	(1U << 0)

/**
 * struct thv_apic_access - THV_APIC_ACCESS: hand an MMIO access to the kernel's local APIC.
 * @offset: within the APIC's page.
 * @flags: THV_APIC_WRITE.
 * @length: 4 (others are what hardware leaves undefined; reads give zeros, writes are dropped).
 * @data: in or out.
 *
 * For a processor that does not virtualize APIC accesses, where the launcher has
 * decoded the instruction. Errors: -EINVAL, @offset + @length beyond the page, or a
 * bad length; -ENXIO, the APIC is not in xAPIC mode.
 */
struct thv_apic_access {
	__u32 offset;
	__u32 flags;
	__u32 length;
	__u32 reserved;
	__u64 data;
};

/**
 * struct thv_interrupt - THV_INTERRUPT: a fixed interrupt to this vCPU's APIC.
 * @vector: 16..255.
 *
 * Works while the vCPU runs. THV_NMI (no argument) is its like for an NMI.
 * Errors: -EINVAL, @vector.
 */
struct thv_interrupt {
	__u32 vector;
	__u32 reserved;
};

/*
 * THV_RUN (no argument): run until something needs the launcher.
 *
 * 0: run->exit says what. Errors: -EINTR, a signal came, or run->immediate_exit was
 * set (exit is THV_EXIT_INTERRUPTED); -EBUSY, another thread runs this vCPU;
 * -EINVAL, run->dirty or a register is impossible; -EIO, the VM is dead or not
 * of this process. After a terminal exit (below) every THV_RUN reports the same again.
 */
#define THV_RUN		_IO(THV_IOCTL_TYPE, 0x20)
#define THV_GET_STATE	_IOW(THV_IOCTL_TYPE, 0x21, struct thv_state)
#define THV_SET_STATE	_IOW(THV_IOCTL_TYPE, 0x22, struct thv_state)
#define THV_TRANSLATE	_IOWR(THV_IOCTL_TYPE, 0x23, struct thv_translate)
#define THV_INTERRUPT	_IOW(THV_IOCTL_TYPE, 0x24, struct thv_interrupt)
#define THV_NMI		_IO(THV_IOCTL_TYPE, 0x25)
#define THV_APIC_ACCESS	_IOWR(THV_IOCTL_TYPE, 0x26, struct thv_apic_access)
#define THV_DEBUG_GUEST	_IOW(THV_IOCTL_TYPE, 0x27, struct thv_debug_guest)

/* ---- the run page ------------------------------------------------------ */

enum thv_exit {
	THV_EXIT_INTERRUPTED = 0,	/* with -EINTR */
	THV_EXIT_IO = 1,
	THV_EXIT_MMIO = 2,
	THV_EXIT_EOI = 3,	/* end of a level-triggered interrupt: tell the IOAPIC */
	THV_EXIT_STOPPED = 4,	/* terminal: THV_CONTROL stopped the VM */
	THV_EXIT_SHUTDOWN = 5,	/* terminal: triple fault */
	/* the processor refused the guest's state; repair it and go on */
	THV_EXIT_FAIL_ENTRY = 6,
	THV_EXIT_MACHINE_CHECK = 7,	/* terminal: a machine check during VM entry */
	/* the launcher's own memory behind a slot is not accessible */
	THV_EXIT_MEMORY_FAULT = 8,
	/* the guest did what thv cannot do here: unsupported.what */
	THV_EXIT_UNSUPPORTED = 9,
	/* what a debugger asked for (THV_DEBUG_GUEST) has happened */
	THV_EXIT_DEBUG = 10,
	/* the vCPU acknowledges thv_run.intr: ask the 8259 for the vector */
	THV_EXIT_ACKNOWLEDGE = 11,
};

/* thv_run.dirty: what of run->regs the launcher changed */
#define THV_DIRTY_GPRS		(1U << 0)	/* gpr[] */
#define THV_DIRTY_RIP		(1U << 1)	/* rip and rflags */
#define THV_DIRTY_COMPLETED	(1U << 2)	/* the instruction of the last exit has been carried out: RIP
						 * is past it, so interrupt shadows end and, with
						 * RFLAGS.TF, its single-step trap is due. Wants
						 * THV_DIRTY_RIP.
						 */

/* What a decoder needs to know: filled for THV_EXIT_MMIO and for string I/O */
struct thv_exit_context {
	__u64 cr0;
	__u64 cr3;
	__u64 cr4;
	__u64 efer;
	__u64 seg_base[6];	/* by enum thv_segment_id; of 64-bit code 0 but for FS and GS */
	__u64 pdptr[4];		/* with PAE paging */
	__u32 code_bits;	/* 16, 32 or 64: the code segment's default */
	__u32 cpl;
	__u32 stack_bits;
	__u32 reserved;
};

/* thv_exit_io.flags */
#define THV_IO_IN	(1U << 0)
/* INS or OUTS: gla is the memory operand; decode for the rest */
#define THV_IO_STRING	(1U << 1)
#define THV_IO_REP	(1U << 2)

/*
 * Every exit that stands for an instruction (IO, MMIO, UNSUPPORTED) leaves the guest
 * before that instruction. The launcher carries it out: writes results to run->regs, adds the
 * length to rip, and sets dirty = GPRS | RIP | COMPLETED. So a vCPU's state between
 * two THV_RUN is always a state the guest could be resumed from, anywhere.
 */
struct thv_exit_io {
	__u16 port;
	__u8 size;		/* 1, 2 or 4 */
	__u8 instruction_length;
	__u32 flags;		/* THV_IO_* */
	__u64 gla;		/* STRING: linear address of the first element */
	__u32 data;		/* OUT, not STRING: the value, zero-extended */
	__u32 address_bits;	/* STRING: 16, 32 or 64 */
};

struct thv_exit_mmio {
	__u64 gpa;
	__u64 gla;
	__u32 access;		/* THV_ACCESS_READ|WRITE|EXECUTE */
	__u32 flags;		/* THV_MMIO_* */
};

#define THV_MMIO_GLA	(1U << 0)	/* gla is valid */
/* the access was the guest's page walk itself: gpa is not RAM */
#define THV_MMIO_TABLE	(1U << 1)
#define THV_MMIO_READONLY (1U << 2)	/* a write to a read-only slot */

struct thv_exit_eoi {
	__u32 vector;
	__u32 reserved;
};

struct thv_exit_fail_entry {
	__u64 hardware_reason;	/* the vendor's exit reason */
	__u64 qualification;
	__u32 instruction_error; /* VMX: VM-instruction error, SDM 31.4 */
	__u32 cpu;		/* the host CPU it happened on */
	__u32 rules;		/* broken rules of entry; THV_EXPLAIN names them */
	__u32 reserved;
};

/* @error: why the host does not give the page; EACCES: a fetch where the slot has THV_MEMORY_NOEXEC */
struct thv_exit_memory_fault {
	__u64 gpa;
	__u64 hva;
	__u32 access;
	__u32 error;		/* a positive errno */
};

enum thv_unsupported {
	THV_UNSUPPORTED_TASK_SWITCH = 1,	/* hardware task switching */
	/* real or virtual-8086 start without unrestricted guest */
	THV_UNSUPPORTED_REAL_MODE = 2,
	THV_UNSUPPORTED_FETCH = 3,		/* executing from where no memory is */
	/* an exit the controls exclude: our bug or the processor's */
	THV_UNSUPPORTED_EXIT = 4,
	THV_UNSUPPORTED_EVENT_MMIO = 5,	/* delivering an event touched what is not memory */
};

struct thv_exit_unsupported {
	__u32 what;		/* enum thv_unsupported */
	__u32 reserved;
	__u64 hardware_reason;
	__u64 detail[4];
};

/*
 * Of THV_EXIT_DEBUG. After a breakpoint (vector 3) RIP is at the INT3; after a step or a data
 * breakpoint it is at the next instruction; an instruction breakpoint has it at that
 * instruction, which has not been carried out, and RFLAGS.RF is set so that going on does.
 *
 * An INT3 that is the guest's own goes back to it as an event to be delivered: THV_STATE_EVENTS with
 * THV_EVENT_REINJECT, reinject 0x603 (software exception, #BP) and reinject_length that of the
 * instruction (thv_run.instruction_length), by which the guest finds RIP after it.
 */
struct thv_exit_debug {
	__u32 vector;		/* 1: #DB, 3: #BP */
	__u32 reserved;
	__u64 dr6;		/* #DB: what happened: BS and B0 to B3 (SDM 18.2.3) */
};

/**
 * struct thv_run - the run page: mmap(NULL, THV_RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED,
 * vcpu, 0).
 * @immediate_exit: set (from a signal handler, say) to make THV_RUN return -EINTR
 *	without entering the guest.
 * @intr: the level of INTR, the wire from a pair of 8259s to LINT0 of this vCPU's APIC. While it is
 *	not 0 and LINT0 lets it through (unmasked, delivery mode ExtINT; or the APIC is off),
 *	THV_RUN returns THV_EXIT_ACKNOWLEDGE as soon as the guest can take an interrupt; it ends a
 *	HLT. The launcher then has the 8259s acknowledge, which gives the vector, and has that
 *	delivered: THV_STATE_EVENTS with THV_EVENT_REINJECT, @reinject the vector (an external
 *	interrupt), @mp_state THV_MP_RUNNING. Looked at when THV_RUN begins: when the level changes
 *	while it is under way, a signal brings it back.
 * @dirty: THV_DIRTY_*; the kernel clears it once it has taken the registers.
 * @exit: out; enum thv_exit.
 * @instruction_length: out; of the exiting instruction where the processor tells it, else 0.
 * @regs: both ways.
 * @context: out; see struct thv_exit_context.
 * @apic_base: out; IA32_APIC_BASE.
 *
 * The kernel reads each field once and believes none.
 */
struct thv_run {
	__u8 immediate_exit;
	__u8 intr;
	__u8 reserved0[2];
	__u32 dirty;
	__u32 exit;
	__u32 instruction_length;
	struct thv_regs regs;
	struct thv_exit_context context;
	__u64 apic_base;
	__u64 reserved1[7];
	union {
		struct thv_exit_io io;
		struct thv_exit_mmio mmio;
		struct thv_exit_eoi eoi;
		struct thv_exit_fail_entry fail_entry;
		struct thv_exit_memory_fault memory_fault;
		struct thv_exit_unsupported unsupported;
		struct thv_exit_debug debug;
		__u8 reserved2[256];
	};
};

#endif /* _UAPI_THV_H */
