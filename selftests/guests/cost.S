/* SPDX-License-Identifier: GPL-2.0-only */
/* What an exit costs, seen from the guest: cost.c */
#include "guests/guest.h"

/* cpuid(count): ticks that so many CPUIDs take */
entry cpuid
	push	%rbx
	mov	%rdi, %r8
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	mov	%rax, %r9
1:	xor	%eax, %eax
	xor	%ecx, %ecx
	cpuid
	dec	%r8
	jnz	1b
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	sub	%r9, %rax
	pop	%rbx
	ret
