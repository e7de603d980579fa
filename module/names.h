/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Words for numbers, each declared once, for tracepoints (trace.h) and tables: NAME(number, "word").
 * The numbers are the interface's (uapi/thv.h), the backend's (backend.h), the APIC's (lapic.h)
 * or the manual's; whoever uses a list includes what declares them.
 */
#ifndef THV_NAMES_H
#define THV_NAMES_H

#define THV_VM_STATE_NAMES(NAME)						\
	NAME(THV_VM_RUNNING, "running")						\
	NAME(THV_VM_PAUSED, "paused")						\
	NAME(THV_VM_STOPPED, "stopped")						\
	NAME(THV_VM_DEAD, "dead")

#define THV_MP_NAMES(NAME)							\
	NAME(THV_MP_RUNNING, "running")						\
	NAME(THV_MP_HALTED, "halted")						\
	NAME(THV_MP_WAIT_SIPI, "wait for SIPI")

/* Why THV_RUN returned: enum thv_exit */
#define THV_EXIT_NAMES(NAME)							\
	NAME(THV_EXIT_INTERRUPTED, "interrupted")				\
	NAME(THV_EXIT_IO, "port")						\
	NAME(THV_EXIT_MMIO, "mmio")						\
	NAME(THV_EXIT_EOI, "eoi")						\
	NAME(THV_EXIT_STOPPED, "stopped")					\
	NAME(THV_EXIT_SHUTDOWN, "shutdown")					\
	NAME(THV_EXIT_FAIL_ENTRY, "failed entry")				\
	NAME(THV_EXIT_MACHINE_CHECK, "machine check")				\
	NAME(THV_EXIT_MEMORY_FAULT, "memory fault")				\
	NAME(THV_EXIT_UNSUPPORTED, "unsupported")				\
	NAME(THV_EXIT_DEBUG, "debug")							\
	NAME(THV_EXIT_ACKNOWLEDGE, "acknowledge")

#define THV_EVENT_NAMES(NAME)							\
	NAME(THV_EVENT_INTERRUPT, "interrupt")					\
	NAME(THV_EVENT_NMI, "NMI")						\
	NAME(THV_EVENT_FAULT, "exception")					\
	NAME(THV_EVENT_SOFT_INT, "INT n")					\
	NAME(THV_EVENT_PRIV_SOFT, "INT1")					\
	NAME(THV_EVENT_SOFT_EXC, "INT3 or INTO")

/* Exceptions, by vector (SDM table 6-1) */
#define THV_EXCEPTION_NAMES(NAME)						\
	NAME(0, "#DE") NAME(1, "#DB") NAME(2, "NMI") NAME(3, "#BP")		\
	NAME(4, "#OF") NAME(5, "#BR") NAME(6, "#UD") NAME(7, "#NM")		\
	NAME(8, "#DF") NAME(10, "#TS") NAME(11, "#NP") NAME(12, "#SS")		\
	NAME(13, "#GP") NAME(14, "#PF") NAME(16, "#MF") NAME(17, "#AC")		\
	NAME(18, "#MC") NAME(19, "#XM") NAME(20, "#VE") NAME(21, "#CP")

/* Bits of THV_ACCESS_*, for __print_flags() */
#define THV_ACCESS_NAMES(NAME)							\
	NAME(THV_ACCESS_READ, "read")						\
	NAME(THV_ACCESS_WRITE, "write")						\
	NAME(THV_ACCESS_EXECUTE, "execute")

#define THV_MEMORY_NAMES(NAME)							\
	NAME(THV_MEMORY_READONLY, "readonly")					\
	NAME(THV_MEMORY_LOG_DIRTY, "log-dirty")					\
	NAME(THV_MEMORY_NOEXEC, "no-exec")

#define THV_FLUSH_NAMES(NAME)							\
	NAME(THV_FLUSH_SECOND, "second level")					\
	NAME(THV_FLUSH_LINEAR, "linear")					\
	NAME(THV_FLUSH_ARRIVED, "arrived")					\
	NAME(THV_FLUSH_PAGE, "page")

/* What became of a second-level fault: enum thv_fault_outcome */
#define THV_OUTCOME_NAMES(NAME)							\
	NAME(THV_FAULT_MAPPED, "mapped")					\
	NAME(THV_FAULT_HUGE, "huge")						\
	NAME(THV_FAULT_GBYTE, "1 GiB")						\
	NAME(THV_FAULT_UNPARKED, "used again")					\
	NAME(THV_FAULT_MMIO, "mmio")						\
	NAME(THV_FAULT_DOORBELL, "doorbell")					\
	NAME(THV_FAULT_MEMORY, "memory fault")					\
	NAME(THV_FAULT_RETRY, "retry")						\
	NAME(THV_FAULT_UNSUPPORTED, "unsupported")

/* What THV_SET_MEMORY does to a slot: enum thv_slot_change */
#define THV_SLOT_NAMES(NAME)							\
	NAME(THV_SLOT_SAME, "unchanged")					\
	NAME(THV_SLOT_ADD, "added")						\
	NAME(THV_SLOT_DELETE, "deleted")					\
	NAME(THV_SLOT_MOVE, "moved")						\
	NAME(THV_SLOT_FLAGS, "changed")

/* What the host does to the launcher's memory: enum thv_notice */
#define THV_NOTICE_NAMES(NAME)							\
	NAME(THV_NOTICE_INVALIDATE, "invalidate")				\
	NAME(THV_NOTICE_INVALIDATED, "invalidated")				\
	NAME(THV_NOTICE_AGE, "age")						\
	NAME(THV_NOTICE_TEST, "test age")					\
	NAME(THV_NOTICE_RELEASE, "release")

#define THV_TIMER_NAMES(NAME)							\
	NAME(THV_TIMER_ONESHOT, "one-shot")					\
	NAME(THV_TIMER_PERIODIC, "periodic")					\
	NAME(THV_TIMER_DEADLINE, "TSC deadline")				\
	NAME(THV_TIMER_RESERVED, "reserved")

/* SDM 11.6.1 */
#define THV_DELIVERY_NAMES(NAME)						\
	NAME(THV_DELIVER_FIXED, "fixed")					\
	NAME(THV_DELIVER_LOWEST, "lowest priority")				\
	NAME(THV_DELIVER_SMI, "SMI")						\
	NAME(THV_DELIVER_REMOTE_READ, "remote read")				\
	NAME(THV_DELIVER_NMI, "NMI")						\
	NAME(THV_DELIVER_INIT, "INIT")						\
	NAME(THV_DELIVER_STARTUP, "start-up")					\
	NAME(THV_DELIVER_EXTINT, "ExtINT")

#define THV_SHORTHAND_NAMES(NAME)						\
	NAME(THV_SHORTHAND_NONE, "none")					\
	NAME(THV_SHORTHAND_SELF, "self")					\
	NAME(THV_SHORTHAND_ALL, "all")						\
	NAME(THV_SHORTHAND_OTHERS, "others")

/* As linux/kvm_para.h numbers them: what a Linux guest may try */
#define THV_HYPERCALL_NAMES(NAME)						\
	NAME(KVM_HC_VAPIC_POLL_IRQ, "VAPIC_POLL_IRQ")				\
	NAME(KVM_HC_KICK_CPU, "KICK_CPU")					\
	NAME(KVM_HC_CLOCK_PAIRING, "CLOCK_PAIRING")				\
	NAME(KVM_HC_SEND_IPI, "SEND_IPI")					\
	NAME(KVM_HC_SCHED_YIELD, "SCHED_YIELD")

/* MSRs of the table in msr.c, and others that guests ask for (SDM volume 4, chapter 2) */
#define THV_MSR_NAMES(NAME)							\
	NAME(MSR_IA32_TSC, "TSC")						\
	NAME(MSR_IA32_PLATFORM_ID, "PLATFORM_ID")				\
	NAME(MSR_IA32_APICBASE, "APIC_BASE")					\
	NAME(MSR_SMI_COUNT, "SMI_COUNT")					\
	NAME(MSR_IA32_FEAT_CTL, "FEATURE_CONTROL")				\
	NAME(MSR_IA32_TSC_ADJUST, "TSC_ADJUST")					\
	NAME(MSR_IA32_SPEC_CTRL, "SPEC_CTRL")					\
	NAME(MSR_IA32_PRED_CMD, "PRED_CMD")					\
	NAME(MSR_IA32_UCODE_REV, "BIOS_SIGN_ID")				\
	NAME(MSR_PLATFORM_INFO, "PLATFORM_INFO")				\
	NAME(MSR_MTRRcap, "MTRRCAP")						\
	NAME(MSR_IA32_ARCH_CAPABILITIES, "ARCH_CAPABILITIES")			\
	NAME(MSR_IA32_FLUSH_CMD, "FLUSH_CMD")					\
	NAME(MSR_MISC_FEATURES_ENABLES, "MISC_FEATURES_ENABLES")		\
	NAME(MSR_IA32_SYSENTER_CS, "SYSENTER_CS")				\
	NAME(MSR_IA32_SYSENTER_ESP, "SYSENTER_ESP")				\
	NAME(MSR_IA32_SYSENTER_EIP, "SYSENTER_EIP")				\
	NAME(MSR_IA32_MCG_CAP, "MCG_CAP")					\
	NAME(MSR_IA32_MCG_STATUS, "MCG_STATUS")					\
	NAME(MSR_IA32_MISC_ENABLE, "MISC_ENABLE")				\
	NAME(MSR_IA32_DEBUGCTLMSR, "DEBUGCTL")					\
	NAME(MSR_IA32_CR_PAT, "PAT")						\
	NAME(MSR_MTRRdefType, "MTRR_DEF_TYPE")					\
	NAME(MSR_IA32_TSC_DEADLINE, "TSC_DEADLINE")				\
	NAME(MSR_IA32_XSS, "XSS")						\
	NAME(MSR_KVM_WALL_CLOCK_NEW, "KVM_WALL_CLOCK_NEW")			\
	NAME(MSR_KVM_SYSTEM_TIME_NEW, "KVM_SYSTEM_TIME_NEW")			\
	NAME(MSR_EFER, "EFER")							\
	NAME(MSR_STAR, "STAR")							\
	NAME(MSR_LSTAR, "LSTAR")						\
	NAME(MSR_CSTAR, "CSTAR")						\
	NAME(MSR_SYSCALL_MASK, "FMASK")						\
	NAME(MSR_FS_BASE, "FS_BASE")						\
	NAME(MSR_GS_BASE, "GS_BASE")						\
	NAME(MSR_KERNEL_GS_BASE, "KERNEL_GS_BASE")				\
	NAME(MSR_TSC_AUX, "TSC_AUX")

#endif
