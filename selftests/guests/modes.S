/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Code for the modes a processor passes through: real, protected (unpaged, 4-MByte pages, PAE)
 * and back from long mode: modes.c. Functions of 32-bit code take their arguments in EDI and ESI,
 * return in EAX, and end at done32; there is no stack frame but the return address the host puts
 * there.
 */
#include "guests/guest.h"

#define GDTR	0xd000		/* what the host prepares for LGDT */
#define TRACE	(DATA + 0x100)	/* a byte for each mode passed through */

/* ---- 32-bit code: protected mode, flat segments ---- */

	.code32
entry done32
	out	%eax, $PORT_DONE
	jmp	done32

entry add32
	lea	(%edi,%esi), %eax
	ret
entry load32
	mov	(%edi), %eax
	ret
entry store32
	mov	%esi, (%edi)
	ret
entry get_cr3_32
	mov	%cr3, %eax
	ret
entry set_cr3_32
	mov	%edi, %cr3
	mov	%cr3, %eax
	ret
entry get_cr0_32
	mov	%cr0, %eax
	ret
entry cpuid_32
	push	%ebx
	mov	%edi, %eax
	xor	%ecx, %ecx
	cpuid
	mov	%edx, %eax
	pop	%ebx
	ret

/* EIP wraps at 32 bits, ESP too: push and pop around the stack's place */
entry stack32
	mov	%esp, %ecx
	push	%edi
	pop	%eax
	sub	%esp, %ecx
	jz	1f
	ud2
1:	ret

/* Exceptions: the vector is left in the record by the stubs below; EAX = vector after the fault */
.macro try32 insn:vararg
	movl	$.Lresume32\@, RESUME
	movl	$-1, VECTOR
	\insn
.Lresume32\@:
	movl	$0, RESUME
	mov	VECTOR, %eax
.endm
entry undefined32
	try32	ud2
	ret
entry overflow32
	mov	$0x7fffffff, %eax
	add	$1, %eax
	try32	into
	ret
entry bound32
	movl	$0, DATA
	movl	$10, DATA + 4
	mov	$11, %ecx
	try32	bound %ecx, DATA
	ret
entry gp32
	try32	mov %edi, %ds
	ret
entry pf32
	mov	%esp, %ecx
	try32	mov %eax, (%edi)
	ret
entry int3_32
	try32	int3
	ret

/* Paging on and off: set_cr4_cr3_cr0 */
entry set_paging32
	/* EDI: CR3, ESI: CR4; returns what is read at DATA with paging on, then off again */
	mov	%edi, %cr3
	mov	%esi, %cr4
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	jmp	1f
1:	mov	DATA, %edx
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	jmp	2f
2:	mov	%edx, %eax
	ret

/* PDPTEs with a reserved bit: the vector */
entry bad_pdptes32
	mov	%edi, %cr3
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	%cr0, %eax
	or	$0x80000000, %eax
	try32	mov %eax, %cr0
	ret

/* A jump to another task */
entry task_switch
	ljmp	$0x60, $0

/*
 * As the kernel's decompressor: from unpaged protected mode to long mode, to compatibility mode,
 * paging off, and long mode again. EDI: the tables. Leaves a trace, and the final value in EAX.
 */
entry tour
	movl	$0, SHARED
	mov	%edi, DATA
	call	to_long
	.code64
	movb	$64, TRACE
	mov	%cs, %eax
	mov	%eax, TRACE + 8
	/* A far return into compatibility mode */
	pushq	$CS32
	lea	1f(%rip), %rax
	push	%rax
	lretq
	.code32
1:	movb	$32, TRACE + 1
	mov	$DS, %eax
	mov	%eax, %ss
	mov	%eax, %ds
	mov	%eax, %es
	/* Paging off, which ends long mode; then EFER.LME */
	mov	%cr0, %eax
	and	$0x7fffffff, %eax
	mov	%eax, %cr0
	jmp	2f
2:	movb	$33, TRACE + 2
	mov	$0xc0000080, %ecx
	rdmsr
	mov	%eax, TRACE + 12
	and	$~0x100, %eax
	wrmsr
	mov	%cr4, %eax
	and	$~0x20, %eax
	mov	%eax, %cr4
	mov	%cr4, %eax
	mov	%eax, TRACE + 16
	/* And back */
	mov	DATA, %edi
	call	to_long
	.code64
	movb	$65, TRACE + 3
	mov	$0x70707070, %eax
	jmp	done

	.code32
/* Long mode, and return to 64-bit code behind the call; EDI: PML4 */
to_long:
	mov	%cr4, %eax
	or	$0x20, %eax
	mov	%eax, %cr4
	mov	%edi, %cr3
	mov	$0xc0000080, %ecx
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	pop	%ecx
	ljmp	$CS64, $1f
	.code64
1:	mov	%ecx, %ecx
	jmp	*%rcx

/*
 * ---- stubs for 32-bit exceptions: 16 bytes each, at stubs32; what they do is in the 64-bit
 * handler's comment ----
 */

	.code32
	.balign 16
entry stubs32
.set vector, 0
.rept 32
	.balign 16
	.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
	.else
	push	$0
	.endif
	push	$vector
	jmp	common32
.set vector, vector + 1
.endr
	.balign 16
common32:
	push	%eax
	mov	4(%esp), %eax
	mov	%eax, VECTOR
	mov	8(%esp), %eax
	mov	%eax, ERROR
	mov	12(%esp), %eax
	mov	%eax, EVENT_RIP
	mov	%cr2, %eax
	mov	%eax, EVENT_CR2
	incl	COUNT
	mov	RESUME, %eax
	test	%eax, %eax
	jnz	1f
	mov	VECTOR, %eax
	out	%eax, $PORT_EXCEPTION
1:	mov	%eax, 12(%esp)
	pop	%eax
	add	$8, %esp
	iret

/* ---- a storm of #AC (threat 1): at CPL 3, the handler at CPL 3 too, its stack not aligned ---- */

entry ac_storm
	/* EDI: the user's stack, odd. At CPL 0, unpaged or paged; CR0.AM is set */
	push	$USER_DS
	push	%edi
	push	$0x40202		/* AC, IF, and the bit that is always set */
	push	$USER_CS32
	push	$1f
	iret
1:	push	%eax			/* not aligned: #AC */
	jmp	.
entry ac_handler
	incl	SHARED
	jmp	.

/* ---- 16-bit code: real mode, CS = DS = ES = 0x1000, SS = 0 ---- */

#define NEAR(symbol) ((symbol) - CODE)

	.code16
entry add16
	lea	(%di), %ax
	add	%si, %ax
	out	%eax, $PORT_DONE
	hlt

/* Segments: DS = EDI, a word at SI */
entry load16
	mov	%di, %ds
	mov	(%si), %ax
	movzwl	%ax, %eax
	out	%eax, $PORT_DONE
	hlt

/* INT 0x21 through the vector table at 0 */
entry int16
	xor	%ax, %ax
	int	$0x21
	movzwl	%ax, %eax
	out	%eax, $PORT_DONE
	hlt
entry int16_handler
	mov	$0x2121, %ax
	iret

/* Halt; an interrupt ends it */
entry halt16
	sti
	hlt
	cli
	mov	$0x4242, %eax
	out	%eax, $PORT_DONE
	hlt
entry interrupt16
	iret

/* What 32-bit operands and addresses do in real mode; port and string I/O */
entry outs16
	mov	$0x3f8, %dx
	mov	$3, %cx
	rep outsb
	mov	%si, %ax
	movzwl	%ax, %eax
	out	%eax, $PORT_DONE
	hlt

/* From real mode to protected mode, as any boot loader: then 32-bit code */
entry to_protected
	cli
	xor	%ax, %ax
	mov	%ax, %ds
	lgdtl	GDTR
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$CS32, $1f
	.code32
1:	mov	$DS, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	mov	$0x80000, %esp
	mov	$0x32323232, %eax
	jmp	done32
	.code64
