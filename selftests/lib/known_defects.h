/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the emulator of the test machine gets wrong: Bochs 2.7, which is Debian's. A test whose
 * expectation (the manual's) meets one of these skips there, with the reason, and counts on
 * every other machine. Each has been read in Bochs' source (the file is named) or is on record
 * as fixed in a later version. The list is the only place that knows.
 */
#ifndef THV_SELFTEST_KNOWN_DEFECTS_H
#define THV_SELFTEST_KNOWN_DEFECTS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <thv.h>
#include "module/vmx/fields.h"

/* Is this the emulated machine? Its BIOS says so. */
static inline bool on_bochs_2_7(void)
{
	static int known;	/* 1: no, 2: yes */
	char version[64] = "";
	FILE *file;

	if (known)
		return known == 2;
	file = fopen("/sys/class/dmi/id/bios_version", "r");
	if (file) {
		if (!fgets(version, sizeof(version), file))
			version[0] = 0;
		fclose(file);
	}
	known = strncmp(version, "Bochs 2.7", 9) ? 1 : 2;
	return known == 2;
}

/*
 * A guest entered with RFLAGS.IF = 0 is not interrupted by the host's interrupts until it exits for
 * another reason or changes IF: VM entry decides what to mask before it says that it is in the
 * guest (vmx.cc, VMenterLoadCheckGuestState; flag_ctrl_pro.cc, handleInterruptMaskChange). A guest
 * that spins so hangs the host.
 */
#define DEFECT_IF0_HIDES_HOST_INTERRUPTS \
	"Bochs 2.7 keeps the host's interrupts from a guest that is entered with IF = 0"

/*
 * When an exit breaks off the delivery of a virtual interrupt, IDT-vectoring information is that
 * of the event delivered before: VMX_Deliver_Virtual_Interrupt() does not note it (vapic.cc,
 * vmexit.cc).
 */
#define DEFECT_VECTORING_OF_VIRTUAL_INTERRUPTS \
	"Bochs 2.7 forgets which virtual interrupt an exit broke off"

/*
 * A pending virtual interrupt is delivered although IF = 0 when an interrupt of the host arrives:
 * the check is for pending, not for unmasked (event.cc, InterruptAcknowledge). A Debian guest with two
 * vCPUs hangs so in a few boots. A VM whose interrupts wait while IF = 0, or that exits in their delivery
 * (shadow paging: at each new page), is created with this flag; or the test says so where it is seen.
 */
#define DEFECT_VIRTUAL_INTERRUPT_DESPITE_IF0 \
	"Bochs 2.7 delivered a virtual interrupt although IF = 0"

static inline unsigned int flag_against_virtual_interrupts(void)
{
	return on_bochs_2_7() ? THV_VM_NO_APICV : 0;
}

/* VM entry does not look at bits 63:48 of a 64-bit guest's RIP (vmx.cc; SDM 27.3.1.4). */
#define DEFECT_RIP_NOT_CHECKED \
	"Bochs 2.7 enters a guest whose RIP is beyond the address space"

/*
 * RFLAGS.RF is cleared when an instruction is fetched, not when it is over (cpu.cc, prefetch()): one
 * that an exit or a fault breaks off is saved without it (SDM 18.3.1.1, 28.3.3), and then the
 * breakpoint at it is hit again.
 */
#define DEFECT_RF_GONE_AT_A_FAULT \
	"Bochs 2.7 hits an instruction breakpoint again after the instruction was broken off"

/*
 * Under CR4.SMAP the processor's own accesses to descriptor tables may use user pages if RFLAGS.AC is 1,
 * at CPL 3 too: the check asks for AC only, not for who accesses (paging.cc, translate_linear_*(); SDM
 * 4.6.1).
 */
#define DEFECT_AC_AND_IMPLICIT_ACCESSES \
	"Bochs 2.7 lets RFLAGS.AC count for the processor's own accesses"

/*
 * Where its VM entry and the rules of module/vmx/explain.c differ, which selftests/explain.c finds out. Each
 * was judged by the manual and Bochs' own source (cpu/vmx.cc): it is Bochs that errs, or that is
 * stricter. @field below: the state, by places of module/vmx/fields.h.
 */
#define ENTRY(symbol)	field[VMX_AT_##symbol]

static inline bool guest_is_64bit(const unsigned long long *field)
{
	return ENTRY(VM_ENTRY_CONTROLS) & 0x200 && ENTRY(GUEST_CS_AR_BYTES) & 0x2000;
}

static inline bool event_of_type(const unsigned long long *field, unsigned int type)
{
	return (ENTRY(VM_ENTRY_INTR_INFO_FIELD) & 0x80000700) == (0x80000000 | type << 8);
}

static inline bool in_any_state(const unsigned long long *field __attribute__((unused)))
{
	return true;
}

static inline bool null_ss_in_64bit(const unsigned long long *field)
{
	return guest_is_64bit(field) && !(ENTRY(GUEST_SS_SELECTOR) & ~3ULL);
}

static inline bool v8086_without_pe(const unsigned long long *field)
{
	return !(ENTRY(VM_ENTRY_CONTROLS) & 0x200) && !(ENTRY(GUEST_CR0) & 1);
}

static inline bool high_half_pending(const unsigned long long *field)
{
	return !(ENTRY(GUEST_PENDING_DBG_EXCEPTIONS) & 0xffffaff0);
}

static inline bool halted_or_vector_18(const unsigned long long *field)
{
	return ENTRY(GUEST_ACTIVITY_STATE) == 1 ||
	       (ENTRY(GUEST_ACTIVITY_STATE) == 2 && (ENTRY(VM_ENTRY_INTR_INFO_FIELD) & 0xff) == 18);
}

/* It enters although this rule, by the beginning of its sentence, is broken, where .shows */
static const struct {
	const char *rule;
	const char *reason;
	bool (*shows)(const unsigned long long *field);
} entry_defects[] __attribute__((unused)) = {
	{ "RIP is beyond the linear-address width", "it looks at RIP outside 64-bit mode only",
	  in_any_state },
	{ "IA32_DEBUGCTL has reserved bits set", "it loads the MSR without a look at it",
	  in_any_state },
	{ "IA32_PERF_GLOBAL_CTRL has reserved bits set", "it does not load this MSR at all",
	  in_any_state },
	{ "\"IA-32e mode guest\" with CR0.PG = 0", "of IA-32e mode it asks for CR4.PAE only",
	  in_any_state },
	{ "CS.DPL is not SS.DPL although CS is nonconforming code", "it holds CS.DPL against CS.RPL",
	  in_any_state },
	{ "CS.DPL is above SS.DPL", "it holds CS.DPL against CS.RPL",
	  in_any_state },
	{ "SS.", "a null selector is enough for it in 64-bit mode, be SS usable or not", null_ss_in_64bit },
	{ "RFLAGS.VM is 1 in IA-32e or real mode", "it knows of IA-32e mode only", v8086_without_pe },
	{ "the pending debug exceptions have reserved bits set", "it looks at bits 31:0 only",
	  high_half_pending },
	{ "pending debug exceptions lack BS", "it does not hold them against RFLAGS.TF",
	  in_any_state },
	{ "pending debug exceptions have BS", "it does not hold them against RFLAGS.TF",
	  in_any_state },
	{ "an event is to be delivered that does not end the activity state",
	  "it lets all events end HLT, and all with vector 18 a shutdown", halted_or_vector_18 },
	{ "an NMI is to be delivered although NMIs are blocked", "its check of that is commented out",
	  in_any_state },
};

#define ENTRY_DEFECTS	(sizeof(entry_defects) / sizeof(entry_defects[0]))

/* And it refuses to enter although no rule is broken */
static inline bool cs_rpl_is_not_dpl(const unsigned long long *field)
{
	unsigned int rights = ENTRY(GUEST_CS_AR_BYTES), rpl = ENTRY(GUEST_CS_SELECTOR) & 3;

	return (rights & 0xd) == 9 && rpl != (rights >> 5 & 3);
}

static inline bool cs_rpl_is_below_dpl(const unsigned long long *field)
{
	unsigned int rights = ENTRY(GUEST_CS_AR_BYTES), rpl = ENTRY(GUEST_CS_SELECTOR) & 3;

	return (rights & 0xd) == 0xd && rpl < (rights >> 5 & 3);
}

static inline bool nmi_after_sti(const unsigned long long *field)
{
	return event_of_type(field, 2) && ENTRY(GUEST_INTERRUPTIBILITY_INFO) & 1;
}

static const struct {
	const char *what;
	bool (*shows)(const unsigned long long *field);
} entry_refusals[] __attribute__((unused)) = {
	{ "CS.RPL of nonconforming code has to be its DPL, which SDM 27.3.1.2 does not ask", cs_rpl_is_not_dpl },
	{ "CS.RPL of conforming code may not be below its DPL, which SDM 27.3.1.2 does not ask",
	  cs_rpl_is_below_dpl },
	{ "no NMI under blocking by STI, which SDM 27.3.1.5 leaves to the processor", nmi_after_sti },
};

#define ENTRY_REFUSALS	(sizeof(entry_refusals) / sizeof(entry_refusals[0]))

/*
 * States over which it ends itself, so that they are not tried: a pending monitor trap ("unsupported
 * event injection type 7"), and long mode that is not protected or is virtual-8086 ("EFER.LMA is set
 * when CR0.PE=0").
 */
static inline bool entry_panics(const unsigned long long *field)
{
	bool long_mode = ENTRY(VM_ENTRY_CONTROLS) & 0x200 || ENTRY(GUEST_IA32_EFER) & 0x400;

	return event_of_type(field, 7) ||
	       (long_mode && (!(ENTRY(GUEST_CR0) & 1) || ENTRY(GUEST_RFLAGS) & 0x20000));
}

#undef ENTRY

/* Leaves the test: defects are on that machine only. */
#define SKIP_DEFECT(defect)							\
	do {									\
		if (on_bochs_2_7())						\
			SKIP(return, "%s", DEFECT_##defect);			\
	} while (0)

#endif
