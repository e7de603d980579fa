/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests to be looked at: netlink.c */
#include "guests/guest.h"

entry spin
	sti
1:	incq	SHARED
	jmp	1b

entry answer
	mov	$42, %eax
	ret

/* Asleep for as long as no interrupt comes, and none does */
entry sleep
	sti
1:	hlt
	jmp	1b

/* touch(address, pages) */
entry touch
1:	movb	$1, (%rdi)
	add	$4096, %rdi
	dec	%rsi
	jnz	1b
	ret

/* An exception without an IDT is a double fault, and that without one is the end */
entry triple_fault
	movq	$0, -16(%rsp)
	movq	$0, -8(%rsp)
	lidt	-16(%rsp)
	ud2
