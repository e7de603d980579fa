/* SPDX-License-Identifier: GPL-2.0-only */
/* Guests whose memory the host works on: hostmem.c, storm.c, dirty.c, reclaim.c */
#include "guests/guest.h"
#include "guests/words.h"

/* load(address), store(address, value) */
entry load
	mov	(%rdi), %rax
	ret
entry store
	mov	%rsi, (%rdi)
	ret

/* check(address, step, count, value): how many of what fill() wrote are something else */
entry check
	xor	%eax, %eax
1:	cmp	%rcx, (%rdi)
	je	2f
	inc	%rax
2:	inc	%rcx
	add	%rsi, %rdi
	dec	%rdx
	jnz	1b
	ret

/* run_at(address): call it; a piece of code to be there: returns 0x600d */
entry run_at
	call	*%rdi
	ret
entry good
	mov	$0x600d, %eax
	ret
entry good_end

/*
 * storm(control, address, pages): for each page the control area has two words. The first is what the
 * host has published: the stamp that is in the page's first word now, or 0, it is being
 * changed; bit 0, the page may be written. The second is the last that was seen. If what is published
 * is the same before and after the stamp is read, the stamp must be that: else it is
 * stale. A page that may be written gets its stamp into the second word, and each time the
 * third is one more. Returns, when the shared word is not 0, how many stamps were stale.
 */
entry storm
	sti
	xor	%eax, %eax
1:	mov	%rdi, %r8
	mov	%rsi, %r9
	mov	%rdx, %r10
2:	mov	(%r8), %r11
	test	%r11, %r11
	jz	5f
	mov	(%r9), %rcx
	cmp	(%r8), %r11
	jne	5f
	cmp	%r11, %rcx
	jne	4f
	test	$1, %r11b
	jz	3f
	mov	%r11, 8(%r9)
	incq	16(%r9)
3:	mov	%r11, 8(%r8)
	jmp	5f
4:	inc	%rax
5:	add	$16, %r8
	add	$4096, %r9
	dec	%r10
	jnz	2b
	cmpq	$0, SHARED
	je	1b
	cli
	ret

/*
 * rewrite(entry, window, gpa, pages): make the page table's entry point to one page after the other,
 * and use the page through the window: its first word must be its number, its second counts
 * the visits. The entry, made without accessed and dirty flags, must have them then, and be the
 * same otherwise. Returns when the shared word is not 0: RAX, what was wrong; the visits in the
 * record's log.
 */
entry rewrite
	sti
	xor	%eax, %eax
	movq	$0, LOG
1:	xor	%r8d, %r8d
2:	mov	%r8, %r9
	shl	$12, %r9
	add	%rdx, %r9
	or	$7, %r9
	mov	%r9, (%rdi)
	invlpg	(%rsi)
	cmp	%r8, (%rsi)
	je	3f
	inc	%rax
3:	incq	8(%rsi)
	incq	LOG
	or	$0x60, %r9
	cmp	%r9, (%rdi)
	je	4f
	inc	%rax
4:	inc	%r8
	cmp	%rcx, %r8
	jb	2b
	cmpq	$0, SHARED
	je	1b
	cli
	ret

/* scatter(list, count): write at each {address, size}; 1, 2, 4, 8, 16 bytes in one piece, others byte by byte */
entry scatter
	mov	%rdi, %r8
	mov	%rsi, %r9
	cld
1:	mov	(%r8), %rdi
	mov	8(%r8), %rcx
	cmp	$1, %rcx
	jne	2f
	incb	(%rdi)
	jmp	7f
2:	cmp	$2, %rcx
	jne	3f
	incw	(%rdi)
	jmp	7f
3:	cmp	$4, %rcx
	jne	4f
	lock incl (%rdi)
	jmp	7f
4:	cmp	$8, %rcx
	jne	5f
	mov	%r9, (%rdi)
	jmp	7f
5:	cmp	$16, %rcx
	jne	6f
	movups	%xmm0, (%rdi)
	jmp	7f
6:	mov	%r9, %rax
	rep stosb
7:	add	$16, %r8
	dec	%r9
	jnz	1b
	ret

/* gather(list, count): read at each {address, size} */
entry gather
	mov	%rsi, %r9
	cld
1:	mov	(%rdi), %rsi
	mov	8(%rdi), %rcx
	rep lodsb
	add	$16, %rdi
	dec	%r9
	jnz	1b
	ret

/*
 * mutate(address, mask, seed): write 8 bytes at random offsets within the mask, on and on,
 * until the shared word is not 0; returns how many
 */
entry mutate
	sti
	xor	%eax, %eax
	mov	.Lfactor(%rip), %r9
1:	imul	%r9, %rdx
	add	$0x3039, %rdx
	mov	%rdx, %r8
	shr	$29, %r8
	and	%rsi, %r8
	mov	%rdx, (%rdi, %r8)
	inc	%rax
	cmpq	$0, SHARED
	je	1b
	cli
	ret
.Lfactor: .quad	6364136223846793005
