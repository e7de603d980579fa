/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests that are looked at while they run, sleep, or wait: inspect.c */
#include "guests/guest.h"

/*
 * churn(rounds): a number that depends on every round, through general and XMM registers; the shared
 * word counts along.
 */
entry churn
	sti
	mov	$1, %eax
	movq	%rax, %xmm7
1:	imul	$1103515245, %rax, %rax
	add	$12345, %rax
	movq	%rax, %xmm3
	paddq	%xmm3, %xmm7
	movq	%xmm7, %rcx
	xor	%rcx, %rax
	incq	SHARED
	dec	%rdi
	jnz	1b
	cli
	ret

/* spin(xmm): XMM0 and XMM15 from there, then for ever */
entry spin
	movdqu	(%rdi), %xmm0
	movdqu	16(%rdi), %xmm15
	mov	$0x5eed, %ebx
	sti
entry spin_loop
	incq	SHARED
	jmp	spin_loop
entry spin_end

/*
 * An event first, so that the delivery of the next has all it needs in memory (selftests/lib/
 * known_defects.h, VECTORING_OF_VIRTUAL_INTERRUPTS)
 */
.macro event_first
	int	$0x30
	movq	$0, COUNT
.endm

/* sleep(): count the wake-ups in the shared word */
entry sleep
	event_first
	sti
1:	hlt
	incq	SHARED
	jmp	1b

/* deadline(cycles): arm the APIC's timer by TSC deadline; sleep until it has come, and end it */
entry deadline
	event_first
	mov	$0x1b, %ecx
	rdmsr
	or	$0xc00, %eax
	wrmsr
	xor	%edx, %edx
	mov	$0x80f, %ecx
	mov	$0x1ff, %eax
	wrmsr
	mov	$0x832, %ecx
	mov	$(2 << 17 | 0x40), %eax
	wrmsr
	rdtsc
	add	%edi, %eax
	adc	$0, %edx
	mov	$0x6e0, %ecx
	wrmsr
1:	sti
	hlt
	cli
	cmpq	$0, COUNT
	je	1b
	mov	$0x80b, %ecx
	xor	%eax, %eax
	xor	%edx, %edx
	wrmsr
	mov	VECTOR, %rax
	ret

/* A hook that has nothing to do */
entry nothing
	ret
