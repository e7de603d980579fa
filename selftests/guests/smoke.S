/* SPDX-License-Identifier: GPL-2.0-only */
/* The first steps of a guest: see smoke.c */
#include "guests/guest.h"

/* Write the low byte of the first argument to port 0x42 */
entry out_byte
	mov	%edi, %eax
	out	%al, $0x42
	ret

/* Return the sum of two arguments */
entry sum
	lea	(%rdi,%rsi), %rax
	ret

/* CPUID of leaf and subleaf; the results go to the address in the third argument */
entry cpuid
	push	%rbx
	mov	%edi, %eax
	mov	%esi, %ecx
	mov	%rdx, %rdi
	cpuid
	mov	%eax, (%rdi)
	mov	%ebx, 4(%rdi)
	mov	%ecx, 8(%rdi)
	mov	%edx, 12(%rdi)
	pop	%rbx
	ret

/* Halt with interrupts enabled; return the number of events that came */
entry halt
	sti
	hlt
	cli
	mov	COUNT, %rax
	ret

/* Read a word of memory */
entry load
	mov	(%rdi), %rax
	ret

/* An undefined instruction; the vector it raised */
entry undefined
	try	ud2
	ret
