/* SPDX-License-Identifier: GPL-2.0-only */
/* Functions that a payload has which uses memory word by word. Include it behind guest.h. */

/* touch(address, step, count): read a word every step bytes; the sum of what was read */
entry touch
	xor	%eax, %eax
1:	add	(%rdi), %rax
	add	%rsi, %rdi
	dec	%rdx
	jnz	1b
	ret

/* fill(address, step, count, value): write value, value + 1, ... */
entry fill
1:	mov	%rcx, (%rdi)
	inc	%rcx
	add	%rsi, %rdi
	dec	%rdx
	jnz	1b
	ret
