/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest that looks at its own state, and changes it: state.c */
#include "guests/guest.h"

/* rdmsr(index): the value; the vector of its exception (or -1) in the shared word */
entry rdmsr
	mov	%edi, %ecx
	try	rdmsr
	mov	%rax, SHARED
	cmp	$-1, %rax
	jne	1f
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
1:	ret

/* wrmsr(index, value): the vector of the exception, or -1 */
entry wrmsr
	mov	%edi, %ecx
	mov	%rsi, %rdx
	shr	$32, %rdx
	mov	%esi, %eax
	mov	%rax, try_rax
	try	wrmsr
	ret

/*
 * readable(first, count, bitmap): RDMSR of each; a bit is set for those that do not fault. Vectors
 * other than 13 end the test. Returns how many are readable.
 */
entry readable
	push	%rbx
	xor	%ebx, %ebx
	xor	%r8d, %r8d
	mov	%rdx, %r9
1:	lea	(%rdi,%r8), %ecx
	lea	2f(%rip), %rax
	mov	%rax, RESUME
	movq	$-1, VECTOR
	rdmsr
2:	movq	$0, RESUME
	cmpq	$-1, VECTOR
	jne	3f
	bts	%r8, (%r9)
	inc	%rbx
	jmp	4f
3:	cmpq	$13, VECTOR
	je	4f
	mov	VECTOR, %rax
	out	%eax, $PORT_EXCEPTION
4:	inc	%r8
	cmp	%rsi, %r8
	jb	1b
	mov	%rbx, %rax
	pop	%rbx
	ret

/*
 * walk(index, results): WRMSR of 0, all ones, three non-canonical values and each single bit; a
 * byte at results for each, the vector or 0xff. What was there is put back.
 */
entry walk
	push	%rbx
	push	%r12
	push	%r13
	mov	%edi, %ecx
	lea	9f(%rip), %rax
	mov	%rax, RESUME
	rdmsr
	mov	%eax, %r12d
	mov	%edx, %r13d
9:	movq	$0, RESUME
	mov	%rsi, %r8
	lea	values(%rip), %rbx
	mov	$5, %r9d
1:	mov	(%rbx), %r10
	call	write_one
	add	$8, %rbx
	dec	%r9d
	jnz	1b
	mov	$1, %r10d
2:	call	write_one
	shl	%r10
	jnz	2b
	mov	%edi, %ecx
	mov	%r12d, %eax
	mov	%r13d, %edx
	lea	8f(%rip), %r10
	mov	%r10, RESUME
	wrmsr
8:	movq	$0, RESUME
	pop	%r13
	pop	%r12
	pop	%rbx
	ret
write_one:
	mov	%edi, %ecx
	mov	%r10d, %eax
	mov	%r10, %rdx
	shr	$32, %rdx
	lea	3f(%rip), %r11
	mov	%r11, RESUME
	movq	$-1, VECTOR
	wrmsr
3:	movq	$0, RESUME
	mov	VECTOR, %rax
	mov	%al, (%r8)
	inc	%r8
	ret
values:
	.quad	0, -1, 0x8000000000000000, 0x0000800000000000, 0xffff7fffffffffff

/* xsetbv(index, value): the vector, or -1 */
entry xsetbv
	mov	%edi, %ecx
	mov	%rsi, %rdx
	shr	$32, %rdx
	mov	%esi, %eax
	mov	%rax, try_rax
	try	xsetbv
	ret

/* store_xmm(address), load_xmm(address): XMM0 to 15 */
.macro each_xmm insn, op
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	.ifc \op, store
	movups	%xmm\n, 16 * \n(%rdi)
	.else
	movups	16 * \n(%rdi), %xmm\n
	.endif
	.endr
.endm
entry store_xmm
	each_xmm movups, store
	ret
entry load_xmm
	each_xmm movups, load
	ret

/*
 * registers(address): RAX... as the processor has them at entry, RFLAGS behind; for a host that
 * set them
 */
entry registers
	mov	%rax, DATA
	mov	%rcx, DATA + 0x08
	mov	%rdx, DATA + 0x10
	mov	%rbx, DATA + 0x18
	mov	%rsp, DATA + 0x20
	mov	%rbp, DATA + 0x28
	mov	%rsi, DATA + 0x30
	mov	%rdi, DATA + 0x38
	mov	%r8, DATA + 0x40
	mov	%r9, DATA + 0x48
	mov	%r10, DATA + 0x50
	mov	%r11, DATA + 0x58
	mov	%r12, DATA + 0x60
	mov	%r13, DATA + 0x68
	mov	%r14, DATA + 0x70
	mov	%r15, DATA + 0x78
	mov	$0x40000, %esp
	pushfq
	pop	DATA + 0x80
	out	%eax, $PORT_DONE

/* system(): control registers, tables and selectors */
entry system
	mov	%cr0, %rax
	mov	%rax, DATA
	mov	%cr2, %rax
	mov	%rax, DATA + 0x08
	mov	%cr3, %rax
	mov	%rax, DATA + 0x10
	mov	%cr4, %rax
	mov	%rax, DATA + 0x18
	mov	%cr8, %rax
	mov	%rax, DATA + 0x20
	sgdt	DATA + 0x28
	sidt	DATA + 0x38
	mov	%cs, DATA + 0x48
	mov	%ss, DATA + 0x4a
	mov	%fs, DATA + 0x4c
	mov	%gs, DATA + 0x4e
	str	DATA + 0x50
	sldt	DATA + 0x52
	ret

/* debug(): DR0 to 3, 6 and 7 */
entry debug
	mov	%dr0, %rax
	mov	%rax, DATA
	mov	%dr1, %rax
	mov	%rax, DATA + 0x08
	mov	%dr2, %rax
	mov	%rax, DATA + 0x10
	mov	%dr3, %rax
	mov	%rax, DATA + 0x18
	mov	%dr6, %rax
	mov	%rax, DATA + 0x20
	mov	%dr7, %rax
	mov	%rax, DATA + 0x28
	ret

/* The time-stamp counter */
entry tsc
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret

/* For ever, so that the host finds the vCPU busy */
entry spin
	sti
1:	incq	SHARED
	jmp	1b
