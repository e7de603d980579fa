/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is measured, as the guest does it: the same code on every hypervisor.
 *
 * A function here is called with how many samples to take in RDI and a value of its own in RSI; it leaves
 * the samples at SAMPLES, in ticks of the time-stamp counter, and returns. All registers are its own, and
 * those of the interrupt handler: R10 is when the last one was entered (0: none yet), R11 what its EOI took.
 */
#include "layout.h"

#define MSR_APIC_BASE		0x1b
#define MSR_PAT			0x277
#define MSR_TSC_DEADLINE	0x6e0
#define MSR_X2APIC_EOI		0x80b
#define MSR_X2APIC_SVR		0x80f
#define MSR_X2APIC_LVT_TIMER	0x832
#define MSR_X2APIC_ICR		0x830
#define MSR_X2APIC_SELF_IPI	0x83f

#define APIC_X2APIC		0x400
#define APIC_SVR_ENABLED	0x1ff
#define LVT_TSC_DEADLINE	0x40000
#define TIMER_TICKS		30000	/* from arming to the deadline */
#define TIMER_AHEAD		0x40000000	/* ... to one that does not come meanwhile, and is within the timers' reach */

#define CR0_WP			0x10000
#define CR4_PGE			0x80
#define HYPERCALL		1	/* of KVM's: nothing to do (KVM_HC_VAPIC_POLL_IRQ) */

.macro entry name
	.global \name
\name:
.endm

/* The counter into a register; changes RAX and RDX */
.macro now register
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, \register
.endm

.macro take value
	mov	\value, (%r14)
	add	$8, %r14
.endm

/* What is between two of these, the emulated machine can trace (profile) */
.macro magic
	xchg	%bx, %bx
.endm

/* A function that samples: what stands between it and begin prepares each of them */
.macro samples name
entry \name
	mov	%rdi, %r13
	mov	$SAMPLES, %r14
	mov	%rsi, %r15
	sti
\name\()_again:
.endm

.macro again name
	dec	%r13
	jnz	\name\()_again
	ret
.endm

/* What is between these two is timed. It is given the registers as they were prepared, and may change all below R8 */
.macro begin
	magic
	mov	%rax, %r8
	mov	%rdx, %r9
	now	%r12
	mov	%r8, %rax
	mov	%r9, %rdx
.endm

.macro end name
	now	%r9
	magic
	sub	%r12, %r9
	take	%r9
	again	\name
.endm


	.text
samples nothing
	begin
	end	nothing

/* ---- answered in the kernel ---- */

samples cpuid
	xor	%eax, %eax
	xor	%ecx, %ecx
	begin
	cpuid
	end	cpuid

samples hypercall
	mov	$HYPERCALL, %eax
	begin
	vmcall
	end	hypercall

samples msr_read
	mov	$MSR_PAT, %ecx
	begin
	rdmsr
	end	msr_read

samples msr_write
	mov	$MSR_PAT, %ecx
	rdmsr
	begin
	wrmsr
	end	msr_write

samples cr0_wp
	mov	%cr0, %rax
	xor	$CR0_WP, %rax
	begin
	mov	%rax, %cr0
	end	cr0_wp

samples cr4_pge
	mov	%cr4, %rax
	xor	$CR4_PGE, %rax
	begin
	mov	%rax, %cr4
	end	cr4_pge

/* ---- to user space ---- */

samples port_write
	begin
	out	%eax, $PORT_USER
	end	port_write

samples port_read
	begin
	in	$PORT_USER, %eax
	end	port_read

samples mmio_write
	mov	$HOLE, %ebx
	begin
	mov	%eax, (%rbx)
	end	mmio_write

samples mmio_read
	mov	$HOLE, %ebx
	begin
	mov	(%rbx), %eax
	end	mmio_read

samples doorbell_port
	begin
	out	%eax, $PORT_DOORBELL
	end	doorbell_port

samples doorbell_mmio
	mov	$HOLE_DOORBELL, %ebx
	begin
	mov	%eax, (%rbx)
	end	doorbell_mmio

/* ---- interrupts ---- */

entry handler
	now	%r10
	mov	%r10, HANDLED
	mov	$MSR_X2APIC_EOI, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	now	%r11
	sub	%r10, %r11
	iretq

.macro x2apic msr, value
	mov	$\msr, %ecx
	mov	$\value, %eax
	xor	%edx, %edx
	wrmsr
.endm

/*
 * The local APIC as every function with an interrupt wants it. The tables are looked at first: Bochs loses a virtual
 * interrupt whose delivery meets a page that the hypervisor has not mapped yet (selftests/lib/known_defects.h).
 */
entry prepare_apic
	mov	IDT, %rax
	mov	GDT, %rax
	mov	$MSR_APIC_BASE, %ecx
	rdmsr
	or	$APIC_X2APIC, %eax
	wrmsr
	x2apic	MSR_X2APIC_SVR, APIC_SVR_ENABLED
	x2apic	MSR_X2APIC_LVT_TIMER, LVT_TSC_DEADLINE + VECTOR
	ret

.macro wait_for_handler
1:	test	%r10, %r10
	jz	1b
.endm

/* From the instruction that sends it to the handler */
samples self_ipi
	xor	%r10d, %r10d
	mov	$MSR_X2APIC_SELF_IPI, %ecx
	magic
	now	%r12
	mov	$VECTOR, %eax
	xor	%edx, %edx
	wrmsr
	wait_for_handler
	magic
	sub	%r12, %r10
	take	%r10
	again	self_ipi

samples eoi
	xor	%r10d, %r10d
	x2apic	MSR_X2APIC_SELF_IPI, VECTOR
	wait_for_handler
	take	%r11
	again	eoi

samples timer_arm
	now	%r10
	add	$TIMER_AHEAD, %r10
	mov	%r10, %rax
	mov	%r10, %rdx
	shr	$32, %rdx
	mov	$MSR_TSC_DEADLINE, %ecx
	begin
	wrmsr
	end	timer_arm

entry timer_disarm
	x2apic	MSR_TSC_DEADLINE, 0
	ret

/* From the deadline to the handler, which interrupts a loop */
samples timer_late
	xor	%r10d, %r10d
	now	%r12
	add	$TIMER_TICKS, %r12
	mov	%r12, %rax
	mov	%r12, %rdx
	shr	$32, %rdx
	mov	$MSR_TSC_DEADLINE, %ecx
	wrmsr
	magic
	wait_for_handler
	magic
	sub	%r12, %r10
	take	%r10
	again	timer_late

/* ---- memory ---- */

/* A write to each page from the address in RSI on */
samples touch
	add	$0x1000, %r15
	begin
	mov	%rax, -0x1000(%r15)
	end	touch

/* ... of 2 MiB */
samples touch_2m
	add	$0x200000, %r15
	begin
	mov	%rax, -0x200000(%r15)
	end	touch_2m

/* A page is mapped to another frame, and used */
samples remap
	mov	$SMALL, %ebx
	mov	PT, %rax
	xor	$0x1000, %rax
	begin
	mov	%rax, PT
	invlpg	(%rbx)
	mov	(%rbx), %rcx
	end	remap

/* To the other address space, and a page of that is used */
samples switch_space
	mov	$SMALL, %ebx
	mov	%cr3, %rax
	xor	$(PML4 ^ OTHER_PML4), %rax
	begin
	mov	%rax, %cr3
	mov	(%rbx), %rcx
	end	switch_space

/* ---- several processors ---- */

/* The host shall be done with the last sample: RSI ticks */
.macro pause_ticks
	now	%r12
	add	%r15, %r12
1:	now	%rbx
	cmp	%r12, %rbx
	jb	1b
.endm

/* From vCPU 0 to vCPU 1 */
samples ipi
	pause_ticks
	movq	$0, HANDLED
	mov	$MSR_X2APIC_ICR, %ecx
	magic
	now	%r12
	mov	$VECTOR, %eax
	mov	$1, %edx
	wrmsr
1:	mov	HANDLED, %rbx
	test	%rbx, %rbx
	jz	1b
	magic
	sub	%r12, %rbx
	take	%rbx
	again	ipi

/* From a device's doorbell to the handler of its interrupt, which must not come between the last look and the HLT */
samples request
	pause_ticks
	xor	%r10d, %r10d
	mov	$HOLE_DOORBELL, %ebx
	cli
	magic
	now	%r12
	mov	%eax, (%rbx)
1:	sti
	hlt
	cli
	test	%r10, %r10
	jz	1b
	magic
	sub	%r12, %r10
	take	%r10
	again	request

entry spin
	sti
1:	cmpq	$0, STOP
	je	1b
	ret

entry halt
	sti
1:	hlt
	cmpq	$0, STOP
	je	1b
	ret

/* For the host to compare with its own */
entry publish
	now	%rax
	mov	%rax, PUBLISHED
	cmpq	$0, STOP
	je	publish
	ret

/* To user space, until it goes on no more */
entry yield
	out	%eax, $PORT_YIELD
	jmp	yield

/* Where functions return to */
entry done
	out	%eax, $PORT_DONE
	jmp	done
