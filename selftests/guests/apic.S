/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The local APIC from the guest's side: apic.c. In xAPIC mode registers are reached by two
 * instructions only, both two bytes long, so that the test can play the launcher's decoder: mov
 * (%rdi), %eax     mov %esi, (%rdi)
 */
#include "guests/guest.h"

#define X2APIC		DATA		/* not 0: registers are MSRs */
#define NESTED		(DATA + 8)	/* handlers under way */
#define DEEPEST		(DATA + 16)
#define SAW_ISR		(DATA + 24)	/* what hook_look read from the ISR word it was told of */
#define LOOK_AT		(DATA + 32)	/* ... its offset */

/* read(offset), write(offset, value): through whichever door; the MSR's high half is the value's */
entry read
	cmpq	$0, X2APIC
	jne	1f
	mov	$APIC, %eax
	add	%rax, %rdi
entry read_mmio
	mov	(%rdi), %eax
	ret
1:	mov	%edi, %ecx
	shr	$4, %ecx
	add	$0x800, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	ret

entry write
	cmpq	$0, X2APIC
	jne	1f
	mov	$APIC, %eax
	add	%rax, %rdi
entry write_mmio
	mov	%esi, (%rdi)
	xor	%eax, %eax
	ret
1:	mov	%edi, %ecx
	shr	$4, %ecx
	add	$0x800, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	xor	%eax, %eax
	ret

/* MSRs: the vector of the exception, or -1 */
entry rdmsr
	mov	%edi, %ecx
	try	rdmsr
	ret
entry wrmsr
	mov	%edi, %ecx
	mov	%rsi, %rdx
	shr	$32, %rdx
	mov	%esi, %eax
	mov	%rax, try_rax
	try	wrmsr
	ret

/* Accesses to the page whatever the mode: load(address), store(address, value) */
entry load
	mov	(%rdi), %eax
	ret
entry store
	mov	%esi, (%rdi)
	ret

/* ---- hooks ---- */

entry hook_eoi
	xor	%esi, %esi
	mov	$0xb0, %edi
	jmp	write

/* No EOI */
entry hook_none
	ret

/* Reads the register at LOOK_AT, then EOI */
entry hook_look
	mov	LOOK_AT, %rdi
	call	read
	mov	%rax, SAW_ISR
	jmp	hook_eoi

/* Lets others in, as deep as they go */
entry hook_nest
	incq	NESTED
	mov	NESTED, %rax
	cmp	DEEPEST, %rax
	jbe	1f
	mov	%rax, DEEPEST
1:	sti
	nop
	nop
	cli
	decq	NESTED
	jmp	hook_eoi

/* ---- waiting ---- */

/* wait(n): spin with interrupts on until n events have come */
entry wait
	spin_until COUNT
	ret

/* wait_halted(n): the same in HLT */
entry wait_halted
	halt_until COUNT
	ret

/* A moment with interrupts on: what can be delivered is */
entry let_in
	sti
	nop
	nop
	nop
	cli
	mov	COUNT, %rax
	ret

/* spin(n): interrupts on, for n rounds */
entry spin
	sti
1:	dec	%rdi
	jnz	1b
	cli
	mov	COUNT, %rax
	ret

/* Task priority by CR8 */
entry set_cr8
	mov	%rdi, %cr8
	ret
entry get_cr8
	mov	%cr8, %rax
	ret

/* ---- the timer ---- */

/*
 * deadline(ticks): a TSC deadline that far ahead; wait for it. Returns how late it was, in ticks
 * (or negative, if it was early).
 */
entry deadline
	mov	%rdi, %r8
	mov	COUNT, %r9
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	add	%rax, %r8
	mov	%r8d, %eax
	mov	%r8, %rdx
	shr	$32, %rdx
	mov	$0x6e0, %ecx
	wrmsr
	sti
1:	cmp	COUNT, %r9
	je	1b
	cli
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r8, %rax
	ret

/* ---- ports, for doorbells ---- */

entry out8
	mov	%edi, %edx
	mov	%esi, %eax
	out	%al, %dx
	ret
entry out16
	mov	%edi, %edx
	mov	%esi, %eax
	out	%ax, %dx
	ret
entry out32
	mov	%edi, %edx
	mov	%esi, %eax
	out	%eax, %dx
	ret
entry in8
	mov	%edi, %edx
	in	%dx, %al
	ret

/* ---- another processor's first steps, in real mode, wherever it is copied to ---- */

	.code16
entry real_start
	mov	%cs, %ax
	out	%ax, $0x83
1:	hlt
	jmp	1b
entry real_end
	.code64
