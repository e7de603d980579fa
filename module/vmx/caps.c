// SPDX-License-Identifier: GPL-2.0-only
/*
 * What this processor's VMX can do, and what thv asks of it.
 *
 * Each control thv knows stands once in the table below: mandatory, without
 * which it refuses to load and says the control's name, or optional, with the
 * feature it stands for. From the table and the capability MSRs (SDM appendix A)
 * follow the control words that every VMCS starts with.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/cpu.h>
#include <linux/moduleparam.h>
#include <asm/cpufeature.h>
#include <asm/msr.h>
#include <asm/tsc.h>
#include "vmx.h"

struct vmx_caps vmx_caps;

/*
 * An interrupt of the host ends a guest's turn, always (SDM 26.2). Where an emulator or a
 * hypervisor below gets that wrong, a guest that spins with interrupts off takes its CPU from the
 * host; there the preemption timer can end the turn instead. The processor reloads it at each
 * entry, so that it costs nothing but the exits.
 */
static unsigned int guard_us;
module_param(guard_us, uint, 0444);
MODULE_PARM_DESC(guard_us, "end a guest's turn after this many microseconds, 0: never (only for machines whose interrupts fail to)");

enum word { PIN, CPU, CPU2, EXIT, ENTRY, WORDS };

/* The capability MSR of each word, and its better successor where there is one (SDM A.2 to A.5) */
static const struct {
	u32 msr, true_msr;
	u32 *value, *must, *may;
} words[WORDS] = {
	[PIN] = { MSR_IA32_VMX_PINBASED_CTLS, MSR_IA32_VMX_TRUE_PINBASED_CTLS,
		  &vmx_caps.pin, &vmx_caps.pin_must, &vmx_caps.pin_may },
	[CPU] = { MSR_IA32_VMX_PROCBASED_CTLS, MSR_IA32_VMX_TRUE_PROCBASED_CTLS,
		  &vmx_caps.cpu, &vmx_caps.cpu_must, &vmx_caps.cpu_may },
	[CPU2] = { MSR_IA32_VMX_PROCBASED_CTLS2, 0,
		   &vmx_caps.cpu2, &vmx_caps.cpu2_must, &vmx_caps.cpu2_may },
	[EXIT] = { MSR_IA32_VMX_EXIT_CTLS, MSR_IA32_VMX_TRUE_EXIT_CTLS,
		   &vmx_caps.exit, &vmx_caps.exit_must, &vmx_caps.exit_may },
	[ENTRY] = { MSR_IA32_VMX_ENTRY_CTLS, MSR_IA32_VMX_TRUE_ENTRY_CTLS,
		    &vmx_caps.entry, &vmx_caps.entry_must, &vmx_caps.entry_may },
};

enum need {
	MANDATORY,	/* set in every VMCS; thv does not load without */
	WANTED,		/* set in every VMCS where the processor has it */
	LATER,		/* mandatory, but set only while it is needed */
	OPTIONAL,	/* set where a VM uses the feature */
};

/* Names as the SDM writes them (tables 25-5 to 25-7, 25-13, 25-15), in its order */
static const struct control {
	enum word word;
	u32 bit;
	enum need need;
	const char *name;
	u64 feature;
} controls[] = {
	{ PIN, PIN_BASED_EXT_INTR_MASK, MANDATORY, "external-interrupt exiting" },
	{ PIN, PIN_BASED_NMI_EXITING, MANDATORY, "NMI exiting" },
	{ PIN, PIN_BASED_VIRTUAL_NMIS, MANDATORY, "virtual NMIs" },
	{ PIN, PIN_BASED_VMX_PREEMPTION_TIMER, OPTIONAL, "activate VMX-preemption timer",
	  THV_FEATURE_PREEMPTION_TIMER },
	{ PIN, PIN_BASED_POSTED_INTR, OPTIONAL, "process posted interrupts",
	  THV_FEATURE_POSTED_INTERRUPTS },

	{ CPU, CPU_BASED_INTR_WINDOW_EXITING, LATER, "interrupt-window exiting" },
	{ CPU, CPU_BASED_USE_TSC_OFFSETTING, MANDATORY, "use TSC offsetting" },
	{ CPU, CPU_BASED_HLT_EXITING, MANDATORY, "HLT exiting" },
	{ CPU, CPU_BASED_INVLPG_EXITING, LATER, "INVLPG exiting" },
	{ CPU, CPU_BASED_MWAIT_EXITING, MANDATORY, "MWAIT exiting" },
	{ CPU, CPU_BASED_RDPMC_EXITING, MANDATORY, "RDPMC exiting" },
	{ CPU, CPU_BASED_CR3_LOAD_EXITING, LATER, "CR3-load exiting" },
	{ CPU, CPU_BASED_CR3_STORE_EXITING, LATER, "CR3-store exiting" },
	{ CPU, CPU_BASED_CR8_LOAD_EXITING, MANDATORY, "CR8-load exiting" },
	{ CPU, CPU_BASED_CR8_STORE_EXITING, MANDATORY, "CR8-store exiting" },
	{ CPU, CPU_BASED_TPR_SHADOW, OPTIONAL, "use TPR shadow", THV_FEATURE_TPR_SHADOW },
	{ CPU, CPU_BASED_NMI_WINDOW_EXITING, LATER, "NMI-window exiting" },
	{ CPU, CPU_BASED_MOV_DR_EXITING, MANDATORY, "MOV-DR exiting" },
	{ CPU, CPU_BASED_UNCOND_IO_EXITING, MANDATORY, "unconditional I/O exiting" },
	{ CPU, CPU_BASED_MONITOR_TRAP_FLAG, OPTIONAL, "monitor trap flag", THV_FEATURE_MONITOR_TRAP },
	{ CPU, CPU_BASED_USE_MSR_BITMAPS, MANDATORY, "use MSR bitmaps" },
	{ CPU, CPU_BASED_MONITOR_EXITING, MANDATORY, "MONITOR exiting" },
	{ CPU, CPU_BASED_ACTIVATE_SECONDARY_CONTROLS, MANDATORY, "activate secondary controls" },

	{ CPU2, SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES, OPTIONAL, "virtualize APIC accesses" },
	{ CPU2, SECONDARY_EXEC_ENABLE_EPT, OPTIONAL, "enable EPT", THV_FEATURE_EPT },
	{ CPU2, SECONDARY_EXEC_ENABLE_RDTSCP, OPTIONAL, "enable RDTSCP", THV_FEATURE_RDTSCP },
	{ CPU2, SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE, OPTIONAL, "virtualize x2APIC mode",
	  THV_FEATURE_VIRTUAL_X2APIC },
	{ CPU2, SECONDARY_EXEC_ENABLE_VPID, OPTIONAL, "enable VPID", THV_FEATURE_VPID },
	{ CPU2, SECONDARY_EXEC_WBINVD_EXITING, WANTED, "WBINVD exiting" },
	{ CPU2, SECONDARY_EXEC_UNRESTRICTED_GUEST, OPTIONAL, "unrestricted guest",
	  THV_FEATURE_UNRESTRICTED },
	{ CPU2, SECONDARY_EXEC_APIC_REGISTER_VIRT, OPTIONAL, "APIC-register virtualization",
	  THV_FEATURE_APIC_REGISTERS },
	{ CPU2, SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY, OPTIONAL, "virtual-interrupt delivery",
	  THV_FEATURE_VIRTUAL_INTERRUPTS },
	{ CPU2, SECONDARY_EXEC_PAUSE_LOOP_EXITING, OPTIONAL, "PAUSE-loop exiting", THV_FEATURE_PAUSE_LOOP },
	{ CPU2, SECONDARY_EXEC_ENABLE_INVPCID, OPTIONAL, "enable INVPCID", THV_FEATURE_INVPCID },
	{ CPU2, SECONDARY_EXEC_ENCLS_EXITING, WANTED, "enable ENCLS exiting" },
	{ CPU2, SECONDARY_EXEC_ENABLE_PML, OPTIONAL, "enable PML", THV_FEATURE_PML },
	{ CPU2, VMCS_CONTROL_BIT(XSAVES), OPTIONAL, "enable XSAVES/XRSTORS", THV_FEATURE_XSAVES },
	{ CPU2, SECONDARY_EXEC_TSC_SCALING, OPTIONAL, "use TSC scaling", THV_FEATURE_TSC_SCALING },

	{ EXIT, VM_EXIT_SAVE_DEBUG_CONTROLS, MANDATORY, "save debug controls" },
	{ EXIT, VM_EXIT_HOST_ADDR_SPACE_SIZE, MANDATORY, "host address-space size" },
	{ EXIT, VM_EXIT_LOAD_IA32_PERF_GLOBAL_CTRL, OPTIONAL, "load IA32_PERF_GLOBAL_CTRL (exit)" },
	{ EXIT, VM_EXIT_SAVE_IA32_PAT, WANTED, "save IA32_PAT" },
	{ EXIT, VM_EXIT_LOAD_IA32_PAT, WANTED, "load IA32_PAT (exit)" },
	{ EXIT, VM_EXIT_SAVE_IA32_EFER, WANTED, "save IA32_EFER" },
	{ EXIT, VM_EXIT_LOAD_IA32_EFER, WANTED, "load IA32_EFER (exit)" },

	{ ENTRY, VM_ENTRY_LOAD_DEBUG_CONTROLS, MANDATORY, "load debug controls" },
	{ ENTRY, VM_ENTRY_IA32E_MODE, LATER, "IA-32e mode guest" },
	{ ENTRY, VM_ENTRY_LOAD_IA32_PERF_GLOBAL_CTRL, OPTIONAL, "load IA32_PERF_GLOBAL_CTRL (entry)" },
	{ ENTRY, VM_ENTRY_LOAD_IA32_PAT, WANTED, "load IA32_PAT (entry)" },
	{ ENTRY, VM_ENTRY_LOAD_IA32_EFER, WANTED, "load IA32_EFER (entry)" },
};

/* Bits of IA32_VMX_EPT_VPID_CAP (SDM A.10) */
static const struct {
	u64 bits;
	bool mandatory;
	const char *name;
	u64 feature;
} ept_vpid[] = {
	{ VMX_EPT_PAGE_WALK_4_BIT, true, "EPT page-walk length 4" },
	{ VMX_EPTP_WB_BIT, true, "EPT structures of write-back memory" },
	{ VMX_EPT_INVEPT_BIT, true, "INVEPT" },
	{ VMX_EPT_EXTENT_GLOBAL_BIT, true, "INVEPT of all contexts" },
	{ VMX_EPT_EXECUTE_ONLY_BIT, false, "execute-only EPT", THV_FEATURE_EPT_EXECUTE_ONLY },
	{ VMX_EPT_2MB_PAGE_BIT, false, "2-MByte EPT pages", THV_FEATURE_EPT_2M },
	{ VMX_EPT_1GB_PAGE_BIT, false, "1-GByte EPT pages", THV_FEATURE_EPT_1G },
	{ VMX_EPT_AD_BIT, false, "EPT accessed and dirty flags", THV_FEATURE_EPT_AD },
};

/*
 * IA32_VMX_BASIC bit 55: the successors of the capability MSRs exist (SDM A.1); the kernel's name
 * for it moved
 */
#define VMX_BASIC_TRUE_CONTROLS	BIT_ULL(55)

/*
 * CPUID is asked directly: the kernel hides the bit when the firmware has
 * switched VMX off, and that case deserves a message of its own.
 */
static int check_processor(void)
{
	u64 control;

	if (boot_cpu_data.x86_vendor != X86_VENDOR_INTEL || !(cpuid_ecx(1) & BIT(5))) {
		pr_err("this processor has no VMX (CPUID.1:ECX.VMX is 0). thv needs an Intel processor with VT-x, or, in a virtual machine, nested virtualization switched on\n");
		return -ENODEV;
	}
	if (rdmsrl_safe(MSR_IA32_FEAT_CTL, &control) || !(control & FEAT_CTL_LOCKED) ||
	    !(control & FEAT_CTL_VMX_ENABLED_OUTSIDE_SMX)) {
		pr_err("the firmware has disabled VMX (IA32_FEATURE_CONTROL is %#llx). Enable \"Intel Virtualization Technology\" in the firmware setup, then switch the machine off and on\n",
		       control);
		return -EACCES;
	}
	return 0;
}

/* FRED delivers events in a way that host-NMI forwarding here does not know. */
static int check_delivery(void)
{
	if (!(native_read_cr4() & BIT_ULL(32)))
		return 0;
	pr_err("this kernel uses FRED event delivery, which thv does not support. Boot it with fred=off\n");
	return -EOPNOTSUPP;
}

static void read_words(u64 basic)
{
	bool successors = basic & VMX_BASIC_TRUE_CONTROLS;
	u32 low, high;
	int i;

	for (i = 0; i < WORDS; i++) {
		if (i == CPU2 && !(vmx_caps.cpu_may & CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)) {
			*words[i].must = 0;	/* there is no such MSR then */
			continue;
		}
		rdmsr(successors && words[i].true_msr ? words[i].true_msr : words[i].msr, low, high);
		*words[i].must = low;
		*words[i].may = high;
	}
}

/* The words from the table; a mandatory control that is missing is named, every one of them. */
static int choose_controls(void)
{
	int i, err = 0;

	for (i = 0; i < WORDS; i++)
		*words[i].value = *words[i].must;

	for (i = 0; i < ARRAY_SIZE(controls); i++) {
		const struct control *c = &controls[i];

		if (*words[c->word].may & c->bit) {
			thv_caps.offered |= c->feature;
			if (c->need == MANDATORY || c->need == WANTED)
				*words[c->word].value |= c->bit;
		} else if (c->need == MANDATORY || c->need == LATER) {
			pr_err("this processor lacks the VMX control \"%s\", which thv needs\n",
			       c->name);
			err = -EOPNOTSUPP;
		}
	}
	return err;
}

/*
 * EPT came with VMCS fields for IA32_PAT, which decides about memory types there, and IA32_EFER. Shadow
 * paging does without: the types are ours (regs.c), and switch.c knows how to switch EFER.
 */
#define EXIT_WITH_EPT	(VM_EXIT_SAVE_IA32_PAT | VM_EXIT_LOAD_IA32_PAT | \
			 VM_EXIT_SAVE_IA32_EFER | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY_WITH_EPT	(VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

static bool has_ept(void)
{
	return vmx_can2(SECONDARY_EXEC_ENABLE_EPT) &&
	       (vmx_caps.exit & EXIT_WITH_EPT) == EXIT_WITH_EPT &&
	       (vmx_caps.entry & ENTRY_WITH_EPT) == ENTRY_WITH_EPT;
}

/* Tables of 64-bit entries that forbid execution, which the host has to use, too */
static int check_shadow(void)
{
	thv_caps.offered &= ~(THV_FEATURE_EPT | THV_FEATURE_UNRESTRICTED);
	if (boot_cpu_has(X86_FEATURE_NX))
		return 0;
	pr_err("this processor has neither EPT nor page tables that forbid execution (NX), which thv needs. If the firmware has \"execute disable\" switched off, switch it on\n");
	return -EOPNOTSUPP;
}

static int check_ept_vpid(void)
{
	int i, err = 0;

	if (!has_ept()) {
		err = check_shadow();
		if (err || !vmx_can2(SECONDARY_EXEC_ENABLE_VPID))
			return err;
	}
	rdmsrl(MSR_IA32_VMX_EPT_VPID_CAP, vmx_caps.ept_vpid);
	for (i = 0; i < ARRAY_SIZE(ept_vpid); i++) {
		if ((vmx_caps.ept_vpid & ept_vpid[i].bits) == ept_vpid[i].bits) {
			thv_caps.offered |= ept_vpid[i].feature;
		} else if (ept_vpid[i].mandatory && has_ept()) {
			pr_err("this processor's EPT lacks \"%s\", which thv needs\n",
			       ept_vpid[i].name);
			err = -EOPNOTSUPP;
		}
	}
	return err;
}

/*
 * The processor's APIC virtualization is used whole or not at all: registers, both
 * modes, and delivery. Every model that has virtual-interrupt delivery has the rest.
 */
#define APICV (THV_FEATURE_TPR_SHADOW | THV_FEATURE_APIC_REGISTERS | \
	       THV_FEATURE_VIRTUAL_INTERRUPTS | THV_FEATURE_VIRTUAL_X2APIC)

static void choose_features(void)
{
	thv_caps.used = thv_caps.offered &
		(THV_FEATURE_EPT | THV_FEATURE_VPID | THV_FEATURE_UNRESTRICTED |
		 THV_FEATURE_EPT_AD | THV_FEATURE_EPT_2M | THV_FEATURE_EPT_1G |
		 THV_FEATURE_PML | THV_FEATURE_RDTSCP | THV_FEATURE_INVPCID | THV_FEATURE_MONITOR_TRAP |
		 THV_FEATURE_PAUSE_LOOP);
	if ((thv_caps.offered & APICV) == APICV &&
	    vmx_can2(SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES))
		thv_caps.used |= APICV;
	/*
	 * The identity page table (cr.c) is mapped read-only, and EPT's flags make table walks
	 * count as writes
	 */
	if (!(thv_caps.used & THV_FEATURE_UNRESTRICTED))
		thv_caps.used &= ~THV_FEATURE_EPT_AD;
	if (!(thv_caps.used & THV_FEATURE_EPT_AD))
		thv_caps.used &= ~THV_FEATURE_PML;	/* it logs those flags (SDM 29.3.6) */
	thv_caps.phys_bits = min_t(u32, boot_cpu_data.x86_phys_bits, 48);
	thv_caps.vpids = vmx_vpids();
	if (!thv_caps.vpids)
		thv_caps.used &= ~THV_FEATURE_VPID;
}

/*
 * Steppings whose timer does not count at the rate that IA32_VMX_MISC says (errata AAJ124, AAK139, AAM126
 * of Nehalem, AAN92, AAO95 of Lynnfield, AAT59, AAU65, AAX65 of Arrandale and Clarkdale, BA86 of
 * Nehalem-EX), and one that was found to: good enough to end a turn, not to tell the time.
 */
static bool timer_keeps_time(void)
{
	static const u32 wrong[] = {
		0x106a0, 0x106a1, 0x106a4, 0x106a5, 0x106e5, 0x20652, 0x20655, 0x206e6, 0x306a8,
	};
	u32 signature = cpuid_eax(1) & ~GENMASK(31, 28);
	size_t i;

	for (i = 0; i < ARRAY_SIZE(wrong); i++)
		if (wrong[i] == signature)
			return false;
	return true;
}

/*
 * The preemption timer ends a turn when the guest's TSC deadline has come (and at the latest after guard_us).
 * One tick of it is 2^n of the TSC (SDM A.6).
 */
static void choose_timer(void)
{
	unsigned int shift = vmx_caps.misc & VMX_TIMER_RATE;

	if (!(vmx_caps.pin_may & PIN_BASED_VMX_PREEMPTION_TIMER)) {
		if (guard_us)
			pr_warn("guard_us is ignored: this processor has no VMX-preemption timer\n");
		return;
	}
	if (timer_keeps_time())
		thv_caps.used |= THV_FEATURE_PREEMPTION_TIMER;
	else if (!guard_us)
		return;
	vmx_caps.pin |= PIN_BASED_VMX_PREEMPTION_TIMER;
	vmx_caps.turn = U32_MAX;
	if (guard_us)
		vmx_caps.turn = clamp_t(u64, ((u64)guard_us * tsc_khz / 1000) >> shift, 1, U32_MAX);
}

static int check_structures(u64 basic)
{
	vmx_caps.revision = vmx_basic_vmcs_revision_id(basic);
	vmx_caps.size = vmx_basic_vmcs_size(basic);
	/* SDM A.1: never more than 4096, and write-back wherever VMX is */
	if (vmx_caps.size > PAGE_SIZE || !vmx_caps.size) {
		pr_err("this processor wants a VMCS of %u bytes; thv knows up to %lu\n",
		       vmx_caps.size, PAGE_SIZE);
		return -EOPNOTSUPP;
	}
	rdmsrl(MSR_IA32_VMX_MISC, vmx_caps.misc);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED0, vmx_caps.cr0_fixed0);
	rdmsrl(MSR_IA32_VMX_CR0_FIXED1, vmx_caps.cr0_fixed1);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED0, vmx_caps.cr4_fixed0);
	rdmsrl(MSR_IA32_VMX_CR4_FIXED1, vmx_caps.cr4_fixed1);
	return 0;
}

/**
 * vmx_caps_probe - can thv work on this processor, and with what?
 *
 * Fills vmx_caps and thv_caps. Says in the log what is missing and what to do about it.
 *
 * Context: module load; may sleep.
 * Return: 0; -ENODEV, no VMX; -EACCES, the firmware forbids it; -EOPNOTSUPP, something
 * thv needs is missing.
 */
int vmx_caps_probe(void)
{
	u64 basic;
	int err;

	err = check_processor() ?: check_delivery();
	if (err)
		return err;
	memset(&thv_caps, 0, sizeof(thv_caps));
	rdmsrl(MSR_IA32_VMX_BASIC, basic);
	err = check_structures(basic);
	if (err)
		return err;
	vmx_caps.basic = basic;
	read_words(basic);
	err = choose_controls();
	if (err)
		return err;
	err = check_ept_vpid();
	if (err)
		return err;
	choose_features();
	choose_timer();
	return 0;
}
