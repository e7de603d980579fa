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
 * RFLAGS.RF is cleared when an instruction is fetched, not when it is over (cpu.cc, prefetch()): one
 * that an exit or a fault breaks off is saved without it (SDM 18.3.1.1, 28.3.3), and then the
 * breakpoint at it is hit again.
 */
#define DEFECT_RF_GONE_AT_A_FAULT \
	"Bochs 2.7 hits an instruction breakpoint again after the instruction was broken off"

/* Leaves the test: defects are on that machine only. */
#define SKIP_DEFECT(defect)							\
	do {									\
		if (on_bochs_2_7())						\
			SKIP(return, "%s", DEFECT_##defect);			\
	} while (0)

#endif
