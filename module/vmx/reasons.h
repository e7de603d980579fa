/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The basic exit reasons, each declared once: number, our identifier, and the name under which the
 * SDM describes it, shortened (appendix C). The handler table (exits.c), the tracepoints and the
 * command line's tables are all made from this list; so it needs no other header.
 */
#ifndef THV_VMX_REASONS_H
#define THV_VMX_REASONS_H

#define VMX_BASIC_REASONS(REASON)					\
	REASON(0,	EXCEPTION_NMI,		"exception or NMI")			\
	REASON(1,	EXTERNAL_INTERRUPT,	"external interrupt")			\
	REASON(2,	TRIPLE_FAULT,		"triple fault")				\
	REASON(3,	INIT,			"INIT signal")				\
	REASON(4,	SIPI,			"start-up IPI")				\
	REASON(5,	IO_SMI,			"I/O SMI")				\
	REASON(6,	OTHER_SMI,		"other SMI")				\
	REASON(7,	INTERRUPT_WINDOW,	"interrupt window")			\
	REASON(8,	NMI_WINDOW,		"NMI window")				\
	REASON(9,	TASK_SWITCH,		"task switch")				\
	REASON(10,	CPUID,			"CPUID")				\
	REASON(11,	GETSEC,			"GETSEC")				\
	REASON(12,	HLT,			"HLT")					\
	REASON(13,	INVD,			"INVD")					\
	REASON(14,	INVLPG,			"INVLPG")				\
	REASON(15,	RDPMC,			"RDPMC")				\
	REASON(16,	RDTSC,			"RDTSC")				\
	REASON(17,	RSM,			"RSM")					\
	REASON(18,	VMCALL,			"VMCALL")				\
	REASON(19,	VMCLEAR,		"VMCLEAR")				\
	REASON(20,	VMLAUNCH,		"VMLAUNCH")				\
	REASON(21,	VMPTRLD,		"VMPTRLD")				\
	REASON(22,	VMPTRST,		"VMPTRST")				\
	REASON(23,	VMREAD,			"VMREAD")				\
	REASON(24,	VMRESUME,		"VMRESUME")				\
	REASON(25,	VMWRITE,		"VMWRITE")				\
	REASON(26,	VMXOFF,			"VMXOFF")				\
	REASON(27,	VMXON,			"VMXON")				\
	REASON(28,	CR,			"control-register access")		\
	REASON(29,	DR,			"MOV DR")				\
	REASON(30,	IO,			"I/O instruction")			\
	REASON(31,	RDMSR,			"RDMSR")				\
	REASON(32,	WRMSR,			"WRMSR")				\
	REASON(33,	GUEST_STATE,		"entry failure: guest state")		\
	REASON(34,	MSR_LOADING,		"entry failure: MSR loading")		\
	REASON(36,	MWAIT,			"MWAIT")				\
	REASON(37,	MTF,			"monitor trap flag")			\
	REASON(39,	MONITOR,		"MONITOR")				\
	REASON(40,	PAUSE,			"PAUSE")				\
	REASON(41,	ENTRY_MACHINE_CHECK,	"entry failure: machine check")		\
	REASON(43,	TPR,			"TPR below threshold")			\
	REASON(44,	APIC_ACCESS,		"APIC access")				\
	REASON(45,	EOI,			"virtualized EOI")			\
	REASON(46,	GDTR_IDTR,		"access to GDTR or IDTR")		\
	REASON(47,	LDTR_TR,		"access to LDTR or TR")			\
	REASON(48,	EPT_VIOLATION,		"EPT violation")			\
	REASON(49,	EPT_MISCONFIG,		"EPT misconfiguration")			\
	REASON(50,	INVEPT,			"INVEPT")				\
	REASON(51,	RDTSCP,			"RDTSCP")				\
	REASON(52,	PREEMPTION_TIMER,	"preemption timer")			\
	REASON(53,	INVVPID,		"INVVPID")				\
	REASON(54,	WBINVD,			"WBINVD")				\
	REASON(55,	XSETBV,			"XSETBV")				\
	REASON(56,	APIC_WRITE,		"APIC write")				\
	REASON(57,	RDRAND,			"RDRAND")				\
	REASON(58,	INVPCID,		"INVPCID")				\
	REASON(59,	VMFUNC,			"VMFUNC")				\
	REASON(60,	ENCLS,			"ENCLS")				\
	REASON(61,	RDSEED,			"RDSEED")				\
	REASON(62,	PML_FULL,		"page-modification log full")		\
	REASON(63,	XSAVES,			"XSAVES")				\
	REASON(64,	XRSTORS,		"XRSTORS")				\
	REASON(65,	PCONFIG,		"PCONFIG")				\
	REASON(66,	SPP,			"sub-page permission")			\
	REASON(67,	UMWAIT,			"UMWAIT")				\
	REASON(68,	TPAUSE,			"TPAUSE")				\
	REASON(69,	LOADIWKEY,		"LOADIWKEY")				\
	REASON(70,	ENCLV,			"ENCLV")				\
	REASON(72,	ENQCMD,			"ENQCMD PASID translation")		\
	REASON(73,	ENQCMDS,		"ENQCMDS PASID translation")		\
	REASON(74,	BUS_LOCK,		"bus lock")				\
	REASON(75,	TIMEOUT,		"instruction timeout")			\
	REASON(76,	SEAMCALL,		"SEAMCALL")				\
	REASON(77,	TDCALL,			"TDCALL")

enum vmx_exit_reason {
#define VMX_REASON_ENUM(number, id, name) VMX_REASON_##id = (number),
	VMX_BASIC_REASONS(VMX_REASON_ENUM)
#undef VMX_REASON_ENUM
	VMX_REASONS,			/* they are all below */
	/* in place of one: the processor refused to begin the entry, so there was no exit */
	VMX_REASON_NONE = VMX_REASONS,
};

#endif
