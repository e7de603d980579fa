/* SPDX-License-Identifier: GPL-2.0-only */
/* Accesses to memory of every kind, for slots.c, memory.c and others */
#include "guests/guest.h"
#include "guests/words.h"

/* load64(address) */
entry load64
	mov	(%rdi), %rax
	ret

/* store64(address, value) */
entry store64
	mov	%rsi, (%rdi)
	ret

/* run_at(address): call it */
entry run_at
	call	*%rdi
	ret

/* wrmsr(index, value) */
entry wrmsr
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	ret

/* Count in the shared word of the record for ever */
entry spin
	sti
1:	incq	SHARED
	jmp	1b

/*
 * stamps(address, step, count, rounds): each page holds a stamp in its first word and again in its
 * last; another thread writes the first, then the second... so first >= second is always
 * seen if the second is read first. Returns the number of times it was not.
 */
entry stamps
	xor	%eax, %eax
1:	mov	%rdi, %r10
	mov	%rdx, %r11
2:	mov	4088(%r10), %r8
	mov	(%r10), %r9
	cmp	%r8, %r9
	jae	3f
	inc	%rax
3:	add	%rsi, %r10
	dec	%r11
	jnz	2b
	incq	SHARED
	dec	%rcx
	jnz	1b
	ret

/* A piece of code to be copied elsewhere: returns 0x600d */
entry good
	mov	$0x600d, %eax
	ret
entry good_end
