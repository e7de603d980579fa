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
#include "module/vmx/fields.h"

/* Is this the emulated machine? Its BIOS says so. */
static inline bool on_bochs_2_7(void)
{
	char version[64] = "";
	FILE *file = fopen("/sys/class/dmi/id/bios_version", "r");

	if (file) {
		if (!fgets(version, sizeof(version), file))
			version[0] = 0;
		fclose(file);
	}
	return !strncmp(version, "Bochs 2.7", 9);
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
 * the check is for pending, not for unmasked (event.cc, InterruptAcknowledge).
 */
#define DEFECT_VIRTUAL_INTERRUPT_DESPITE_IF0 \
	"Bochs 2.7 may deliver a virtual interrupt although IF = 0"

/* VM entry does not look at bits 63:48 of a 64-bit guest's RIP (vmx.cc; SDM 27.3.1.4). */
#define DEFECT_RIP_NOT_CHECKED \
	"Bochs 2.7 enters a guest whose RIP is beyond the address space"

/*
 * Rules of VM entry that it does not know (module/vmx/explain.c, by their sentences): it enters a guest
 * whose state breaks them. Measured: selftests/explain.c compares each state it tries.
 */
static const struct {
	const char *rule;	/* as its sentence begins */
} entry_defects[] __attribute__((unused)) = {
	{ "RIP is beyond the linear-address width" },
	{ "IA32_DEBUGCTL has reserved bits set" },
	{ "IA32_PERF_GLOBAL_CTRL has reserved bits set" },
	{ "\"IA-32e mode guest\" with CR0.PG = 0" },
	{ "CS.DPL is not SS.DPL although CS is nonconforming code" },
};

#define ENTRY_DEFECTS	(sizeof(entry_defects) / sizeof(entry_defects[0]))

/*
 * States over which it ends itself, so that they are not tried: a pending monitor trap ("unsupported
 * event injection type 7"), and long mode that is not protected or is virtual-8086 ("EFER.LMA is set
 * when CR0.PE=0"), which the manual has refused. @field: the state, by places of module/vmx/fields.h.
 */
static inline bool entry_panics(const unsigned long long *field)
{
	bool long_mode = field[VMX_AT_VM_ENTRY_CONTROLS] & 0x200 || field[VMX_AT_GUEST_IA32_EFER] & 0x400;
	bool virtual_8086 = field[VMX_AT_GUEST_RFLAGS] & 0x20000;

	if ((field[VMX_AT_VM_ENTRY_INTR_INFO_FIELD] & 0x80000700) == 0x80000700)
		return true;
	return long_mode && (!(field[VMX_AT_GUEST_CR0] & 1) || virtual_8086);
}

/* And entries that it refuses though they break no rule */
static inline bool cs_rpl_of_nonconforming(const unsigned long long *field)
{
	unsigned int rights = field[VMX_AT_GUEST_CS_AR_BYTES], rpl = field[VMX_AT_GUEST_CS_SELECTOR] & 3;

	return (rights & 0xd) == 9 && rpl != (rights >> 5 & 3);
}

static const struct {
	const char *what;
	bool (*shows)(const unsigned long long *field);
} entry_refusals[] __attribute__((unused)) = {
	{ "CS.RPL of nonconforming code has to be its DPL, which SDM 27.3.1.2 does not ask",
	  cs_rpl_of_nonconforming },
};

#define ENTRY_REFUSALS	(sizeof(entry_refusals) / sizeof(entry_refusals[0]))

/* Leaves the test: defects are on that machine only. */
#define SKIP_DEFECT(defect)							\
	do {									\
		if (on_bochs_2_7())						\
			SKIP(return, "%s", DEFECT_##defect);			\
	} while (0)

#endif
