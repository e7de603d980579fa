/* SPDX-License-Identifier: GPL-2.0-only */
/* One function for each reason to leave the guest: exits.c */
#include "guests/guest.h"

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

/* HLT, interrupts enabled in the instruction before; the number of events that came */
entry halt
	sti
	hlt
	cli
	mov	COUNT, %rax
	ret

/* HLT with interrupts disabled: only an NMI wakes it */
entry halt_disabled
	cli
	hlt
	mov	COUNT, %rax
	ret

/* Port accesses: out(port, value), in(port, RAX before), of three sizes */
entry out8
	mov	%edi, %edx
	mov	%rsi, %rax
	out	%al, %dx
	ret
entry out16
	mov	%edi, %edx
	mov	%rsi, %rax
	out	%ax, %dx
	ret
entry out32
	mov	%edi, %edx
	mov	%rsi, %rax
	out	%eax, %dx
	ret
entry in8
	mov	%edi, %edx
	mov	%rsi, %rax
	in	%dx, %al
	ret
entry in16
	mov	%edi, %edx
	mov	%rsi, %rax
	in	%dx, %ax
	ret
entry in32
	mov	%edi, %edx
	mov	%rsi, %rax
	in	%dx, %eax
	ret
entry in_immediate
	mov	%rsi, %rax
	in	$0x71, %al
	ret

/* String I/O: function(port, address, count) */
entry outsb
	mov	%edi, %eax
	mov	%rdx, %rcx
	mov	%eax, %edx
	outsb
	mov	%rsi, %rax
	ret
entry rep_outsw
	mov	%edi, %eax
	mov	%rdx, %rcx
	mov	%eax, %edx
	rep outsw
	mov	%rsi, %rax
	ret
entry rep_outsl_down
	mov	%edi, %eax
	mov	%rdx, %rcx
	mov	%eax, %edx
	std
	rep outsl
	cld
	mov	%rsi, %rax
	ret
entry rep_insl
	mov	%edi, %eax
	mov	%rsi, %rdi
	mov	%rdx, %rcx
	mov	%eax, %edx
	rep insl
	mov	%rdi, %rax
	ret
/* ... with a 32-bit address, and with a segment of its own */
entry outsb_addr32
	mov	%edi, %edx
	bts	$40, %rsi
	outsb	%ds:(%esi), %dx
	ret
entry outsb_fs
	mov	%edi, %edx
	outsb	%fs:(%rsi), %dx
	ret

/* Memory that is none: function(address[, value]) */
entry load64
	mov	(%rdi), %rax
	ret
entry store64
	mov	%rsi, (%rdi)
	ret
entry store8
	mov	%esi, %eax
	mov	%al, (%rdi)
	ret
entry add64
	add	%rsi, (%rdi)
	ret
entry jump
	jmp	*%rdi

/* MSRs: the vector of the exception or -1 */
entry rdmsr
	mov	%edi, %ecx
	try	rdmsr
	ret
entry wrmsr
	mov	%edi, %ecx
	mov	%rsi, %rdx
	shr	$32, %rdx
	mov	%esi, %eax
	mov	%rax, try_rax
	try	wrmsr
	ret

/* Control registers: read, and write with the vector or -1 */
entry get_cr0
	mov	%cr0, %rax
	ret
entry get_cr3
	mov	%cr3, %rax
	ret
entry get_cr4
	mov	%cr4, %rax
	ret
entry get_cr8
	mov	%cr8, %rax
	ret
entry set_cr0
	try	mov %rdi, %cr0
	ret
entry set_cr2
	try	mov %rdi, %cr2
	ret
entry set_cr3
	try	mov %rdi, %cr3
	ret
entry set_cr4
	try	mov %rdi, %cr4
	ret
entry set_cr8
	try	mov %rdi, %cr8
	ret
entry clts
	clts
	mov	%cr0, %rax
	ret
entry lmsw
	lmsw	%di
	mov	%cr0, %rax
	ret
entry smsw
	xor	%eax, %eax
	smsw	%eax
	ret

/* Debug registers */
entry set_dr0
	try	mov %rdi, %dr0
	ret
entry set_dr6
	try	mov %rdi, %dr6
	ret
entry set_dr7
	try	mov %rdi, %dr7
	ret
entry get_dr4
	/* mov %dr4, %rax; the assembler does not know it in 64-bit mode */
	.byte	0x0f, 0x21, 0xe0
	ret
entry try_dr4
	try	.byte 0x0f, 0x21, 0xe0
	ret
entry get_dr6
	mov	%dr6, %rax
	ret
entry get_dr7
	mov	%dr7, %rax
	ret
entry try_dr7
	try	mov %dr7, %rcx
	ret

/*
 * Instructions that always exit, or might: each is tried at CPL 0 and at CPL 3, and the vectors
 * go to the table in the order below (which is exits.c's): CPL 0, CPL 3, CPL 0, ...
 */
.macro both insn:vararg
	mov	%r15, %rdi		/* an address that can be read and written */
	xor	%ecx, %ecx
	xor	%edx, %edx
	try	\insn
	mov	%al, (%r14)
	mov	%r15, %rdi
	xor	%ecx, %ecx
	xor	%edx, %edx
	try_user \insn
	mov	%al, 1(%r14)
	add	$2, %r14
.endm

entry instructions
	push	%rbx
	push	%r14
	push	%r15
	mov	%rdi, %r14
	lea	0x800(%rdi), %r15
	movq	$0, try_rax
	both	vmclear (%rdi)
	both	vmptrld (%rdi)
	both	vmptrst (%rdi)
	both	vmlaunch
	both	vmresume
	both	vmread %rcx, (%rdi)
	both	vmwrite (%rdi), %rcx
	both	vmxoff
	both	vmxon (%rdi)
	both	invept (%rdi), %rcx
	both	invvpid (%rdi), %rcx
	both	vmfunc
	both	.byte 0x0f, 0x37	/* GETSEC */
	both	rsm
	both	.byte 0x0f, 0x01, 0xcf	/* ENCLS */
	both	monitor
	both	mwait
	both	invd
	both	wbinvd
	both	rdpmc
	both	pause
	both	invlpg (%rdi)
	both	rdtsc
	both	.byte 0x0f, 0x01, 0xd0	/* XGETBV; CR4.OSXSAVE is 0 */
	both	.byte 0x0f, 0x01, 0xd1	/* XSETBV */
	both	mov %cr0, %rcx
	both	mov %cr3, %rcx
	both	mov %cr8, %rcx
	both	mov %dr0, %rcx
	both	clts
	both	sgdt (%rdi)
	both	sldt %cx
	both	str %cx
	both	smsw %cx
	pop	%r15
	pop	%r14
	pop	%rbx
	ret

/* VMCALL with a number nobody knows; at CPL 0 and 3; RAX of both in the table */
entry vmcall
	mov	$0x12345, %eax
	vmcall
	ret
entry vmcall_user
	push	%rbx
	movq	$0x12345, try_rax
	try_user call 1f
	mov	%rbx, %rax
	pop	%rbx
	ret
1:	vmcall				/* CPL 3 */
	mov	%rax, %rbx
	ret

/*
 * RDTSCP: the counter, and IA32_TSC_AUX in the record's shared word; the vector in place of the
 * counter
 */
entry rdtscp
	try	rdtscp
	cmp	$-1, %rax
	jne	1f
	rdtscp
	mov	%rcx, SHARED
	shl	$32, %rdx
	or	%rdx, %rax
1:	ret
entry invpcid
	movq	$0, DATA
	movq	$0, DATA + 8
	mov	$2, %ecx
	try	invpcid DATA, %rcx
	ret
entry rdtsc
	rdtsc
	shl	$32, %rdx
	or	%rdx, %rax
	ret

/* No IDT: an exception is a triple fault */
entry triple_fault
	movq	$0, -16(%rsp)
	movq	$0, -8(%rsp)
	lidt	-16(%rsp)
	ud2

/* Load CR3 and go on: with tables that are not memory */
entry load_cr3
	mov	%rdi, %cr3
	nop
	ret

/* For ever, interrupts enabled */
entry spin
	sti
1:	incq	SHARED
	jmp	1b

/* Return, with nothing done */
entry nothing
	mov	$0x1234, %eax
	ret
