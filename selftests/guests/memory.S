/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests that use memory while the host does things to it: memory.c */
#include "guests/guest.h"
#include "guests/words.h"

/* load(address), store(address, value) */
entry load
	mov	(%rdi), %rax
	ret
entry store
	mov	%rsi, (%rdi)
	ret

/*
 * watch(stamp, published): the host publishes a number once the stamp is at least that. Returns
 * when the record's shared word is not 0: how often the stamp was older than what had been
 * published before.
 */
entry watch
	sti
	xor	%eax, %eax
1:	mov	(%rsi), %r8
	mov	(%rdi), %r9
	cmp	%r8, %r9
	jae	2f
	inc	%rax
2:	incq	8(%rsi)
	cmpq	$0, SHARED
	je	1b
	cli
	ret

/*
 * churn(address, pages): write and read each page, again and again, until the shared word is not
 * 0
 */
entry churn
	sti
	xor	%eax, %eax
1:	mov	%rdi, %r8
	mov	%rsi, %r9
2:	incq	(%r8)
	mov	8(%r8), %rdx
	add	$4096, %r8
	inc	%rax
	dec	%r9
	jnz	2b
	cmpq	$0, SHARED
	je	1b
	cli
	ret
