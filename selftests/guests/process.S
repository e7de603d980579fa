/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests that run for as long as their process lets them: process.c */
#include "guests/guest.h"

entry spin
	sti
1:	incq	SHARED
	jmp	1b

/* count(n): 1, 2, ... to port 0x44, n times */
entry count
	xor	%eax, %eax
1:	inc	%eax
	out	%eax, $0x44
	cmp	%edi, %eax
	jb	1b
	ret

entry answer
	mov	$42, %eax
	ret
