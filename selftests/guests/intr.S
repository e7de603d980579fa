/* SPDX-License-Identifier: GPL-2.0-only */
/* For intr.c: what a guest does while 8259s want something of it. x2APIC mode. */
#include "guests/guest.h"

#define X2APIC_BASE	0x1b
#define X2APIC_TPR	0x808
#define X2APIC_EOI	0x80b
#define X2APIC_SVR	0x80f
#define X2APIC_LVT0	0x835

.macro wrmsr_edi msr
	mov	$\msr, %ecx
	mov	%edi, %eax
	xor	%edx, %edx
	wrmsr
.endm

/* (value) of IA32_APIC_BASE, of the spurious vector's register, of the task priority */
entry base
	wrmsr_edi X2APIC_BASE
	ret
entry svr
	wrmsr_edi X2APIC_SVR
	ret
entry priority
	wrmsr_edi X2APIC_TPR
	ret

/* (value) of LINT0's entry in the local vector table: with interrupts off, and on */
entry lint0
	wrmsr_edi X2APIC_LVT0
	ret
entry lint0_on
	sti
	nop
	wrmsr_edi X2APIC_LVT0
entry lint0_after
	nop
	cli
	mov	COUNT, %rax
	ret

/* A hook for interrupts of 8259s: the APIC knows nothing of them */
entry hook_none
	ret

/* ... and of the APIC's own */
entry hook_eoi
	xor	%edi, %edi
	wrmsr_edi X2APIC_EOI
	ret

window_function

/* (n): with interrupts on, until n events have come */
entry wait
	spin_until COUNT
	ret

/* (n): the same in HLT */
entry halted
	halt_until COUNT
	ret
