/* SPDX-License-Identifier: GPL-2.0-only */
/* A guest that holds patterns in registers and says whether they have changed: isolation.c */
#include "guests/guest.h"

#define AREA	DATA		/* 512 bytes to compare with */

/* XMM0 to 15: pattern n is (pattern + n) in each half */
.macro fill_xmm
	mov	%rdi, %rax
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movq	%rax, %xmm\n
	punpcklqdq %xmm\n, %xmm\n
	inc	%rax
	.endr
.endm

/* RAX: how many of them are not as filled */
.macro check_xmm
	xor	%eax, %eax
	mov	%rdi, %rcx
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	movups	%xmm\n, AREA
	cmp	%rcx, AREA
	setne	%dl
	movzx	%dl, %edx
	add	%edx, %eax
	cmp	%rcx, AREA + 8
	setne	%dl
	movzx	%dl, %edx
	add	%edx, %eax
	inc	%rcx
	.endr
.endm

/* hold_xmm(pattern, rounds): the number of differences seen */
entry hold_xmm
	xor	%r8d, %r8d
	mov	%rsi, %r9
	sti
	fill_xmm
1:	check_xmm
	add	%rax, %r8
	dec	%r9
	jnz	1b
	cli
	mov	%r8, %rax
	ret

/* fill(pattern), then check(pattern): the host is in between */
entry fill
	fill_xmm
	ret
entry check
	check_xmm
	ret

/* The upper halves of YMM0 to 3, likewise; CR4.OSXSAVE and XCR0 are set by the host */
entry fill_ymm
	mov	%rdi, DATA + 0x200
	.irp n, 0, 1, 2, 3
	vbroadcastsd DATA + 0x200, %ymm\n
	.endr
	ret
entry check_ymm
	xor	%eax, %eax
	.irp n, 0, 1, 2, 3
	vextractf128 $1, %ymm\n, AREA
	cmp	%rdi, AREA
	setne	%dl
	movzx	%dl, %edx
	add	%edx, %eax
	.endr
	ret

/* x87 control word and MXCSR: set(both), get() = both */
entry set_control
	mov	%edi, SHARED
	fldcw	SHARED
	shr	$32, %rdi
	mov	%edi, SHARED
	ldmxcsr	SHARED
	ret
entry get_control
	movq	$0, SHARED
	stmxcsr	SHARED + 4
	fnstcw	SHARED
	mov	SHARED, %rax
	ret

/*
 * hold_msrs(pattern, rounds): STAR, LSTAR, CSTAR, SFMASK, FS, GS and KERNEL_GS base; differences
 * seen
 */
.macro each_msr do
	.irp msr, 0xc0000081, 0xc0000082, 0xc0000083, 0xc0000084, 0xc0000100, 0xc0000101, 0xc0000102
	mov	$\msr, %ecx
	\do
	inc	%r10
	.endr
.endm
.macro write_one
	mov	%r10d, %eax
	xor	%edx, %edx
	wrmsr
.endm
.macro check_one
	rdmsr
	shl	$32, %rdx
	mov	%eax, %eax
	or	%rdx, %rax
	cmp	%r10, %rax
	setne	%al
	movzx	%al, %eax
	add	%rax, %r8
.endm
entry hold_msrs
	xor	%r8d, %r8d
	mov	%rsi, %r9
	sti
	mov	%rdi, %r10
	each_msr write_one
1:	mov	%rdi, %r10
	each_msr check_one
	dec	%r9
	jnz	1b
	cli
	mov	%r8, %rax
	ret

/* set_msrs(pattern), check_msrs(pattern) */
entry set_msrs
	mov	%rdi, %r10
	each_msr write_one
	ret
entry check_msrs
	xor	%r8d, %r8d
	mov	%rdi, %r10
	each_msr check_one
	mov	%r8, %rax
	ret

/* wrmsr(index, value), rdmsr(index): they are offered */
entry wrmsr
	mov	%edi, %ecx
	mov	%esi, %eax
	mov	%rsi, %rdx
	shr	$32, %rdx
	wrmsr
	ret
entry rdmsr
	mov	%edi, %ecx
	rdmsr
	shl	$32, %rdx
	or	%rdx, %rax
	ret
entry swapgs
	swapgs
	ret

/* xsetbv(value), xgetbv(); OSXSAVE is set by the host */
entry xsetbv
	xor	%ecx, %ecx
	mov	%edi, %eax
	xor	%edx, %edx
	xsetbv
	ret
entry xgetbv
	xor	%ecx, %ecx
	xgetbv
	ret

/* set_dr(address, dr7), get_dr0() */
entry set_dr
	mov	%rdi, %dr0
	mov	%rdi, %dr3
	mov	%rsi, %dr7
	ret
entry get_dr0
	mov	%dr0, %rax
	ret
entry get_dr7
	mov	%dr7, %rax
	ret

entry spin
	sti
1:	incq	SHARED
	jmp	1b

entry nothing
	ret
