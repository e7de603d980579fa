/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * For smp.c: several vCPUs that need each other. All of them share the record and its hooks. x2APIC mode;
 * each function has a stack of its own, by its vCPU's id.
 */
#include "guests/guest.h"

#define X2APIC_BASE	0x1b
#define X2APIC_ID	0x802
#define X2APIC_EOI	0x80b
#define X2APIC_LDR	0x80d
#define X2APIC_SVR	0x80f
#define X2APIC_ICR	0x830
#define ALL_BUT_SELF	(3 << 18)

#define TICKET		(DATA + 0x00)	/* of who comes next */
#define SERVING		(DATA + 0x40)
#define TOTAL		(DATA + 0x80)
#define TOKEN		(DATA + 0xc0)	/* id of whose turn it is */
#define ACKS		(DATA + 0x100)
#define GENERATION	(DATA + 0x140)	/* that every vCPU has to see */
#define OVER		(DATA + 0x180)
#define READY		(DATA + 0x1c0)	/* vCPUs that wait for the others */
#define RING_SIZE	(DATA + 0x1c8)
#define RING_TURNS	(DATA + 0x1d0)
#define RECEIVED	(DATA + 0x200)	/* a word for each vCPU: interrupts */
#define PROGRESS	(DATA + 0x400)	/* 64 bytes for each vCPU */
#define STACKS		(DATA + 0x20000)

#define MAPPED		(DATA + 0x10000) /* mapped to either of the next two */
#define EVEN		(DATA + 0x11000)
#define MAPPED_PTE	(0x7000 + 8 * (MAPPED >> 12))

.macro wrmsr_to msr
	mov	$\msr, %ecx
	mov	%rax, %rdx
	shr	$32, %rdx
	wrmsr
.endm

/* RAX: destination in its upper half, the command in the lower */
.macro send
	wrmsr_to X2APIC_ICR
.endm

/* RDI: id. Afterwards there is nothing to return to: go to done */
.macro own_stack
	mov	%rdi, %rax
	shl	$12, %rax
	lea	STACKS + 0x1000(%rax), %rsp
.endm

/* (value of IA32_APIC_BASE) */
entry x2apic
	mov	%rdi, %rax
	wrmsr_to X2APIC_BASE
	mov	$0x1ff, %eax
	wrmsr_to X2APIC_SVR
	ret

/* A hook: an interrupt has come */
entry hook_received
	mov	$X2APIC_ID, %ecx
	rdmsr
	lock incq RECEIVED(, %rax, 8)
	xor	%eax, %eax
	wrmsr_to X2APIC_EOI
	ret

/* A hook: another vCPU has changed the mapping */
entry hook_shootdown
	invlpg	MAPPED
	lock incq ACKS
	xor	%eax, %eax
	wrmsr_to X2APIC_EOI
	ret

/*
 * (vCPUs, turns): when all are there, under a lock that is fair, and so stops all as soon as the next in line
 * has no CPU, add to a total in two steps.
 */
entry lock
	mov	%rsi, %r8
	sti			/* Bochs 2.7 keeps the host's interrupts from a guest that has them off */
	lock incq READY
5:	pause
	cmp	%rdi, READY
	jb	5b
1:	mov	$1, %eax
	lock xadd %rax, TICKET
2:	cmp	%rax, SERVING
	je	3f
	pause
	jmp	2b
3:	mov	TOTAL, %rcx
	mov	$100, %edx
4:	dec	%edx
	jnz	4b
	inc	%rcx
	mov	%rcx, TOTAL
	incq	SERVING
	dec	%r8
	jnz	1b
	cli
	ret

/* (id, vCPUs, turns): a token goes round; who has it passes it on, the others sleep */
entry ring
	own_stack
	mov	%rdx, %r8
1:	cli
	cmp	%rdi, TOKEN
	je	2f
	sti
	hlt
	jmp	1b
2:	sti
	lea	1(%rdi), %rax
	cmp	%rsi, %rax
	jb	3f
	xor	%eax, %eax
3:	mov	%rax, TOKEN
	shl	$32, %rax
	or	$0x60, %rax
	send
	dec	%r8
	jnz	1b
	mov	%rdi, %rax
	jmp	done

/* (id, other vCPUs, changes): map, in turn, one of two pages, and see to it that everybody knows */
entry change
	own_stack
	mov	%rdx, %r8
	xor	%r9d, %r9d
	sti
1:	inc	%r9
	/* the page of this generation, through its own address */
	mov	%r9, %rax
	and	$1, %eax
	shl	$12, %rax
	lea	EVEN(%rax), %r10
	mov	%r9, (%r10)
	or	$0x63, %r10
	movq	$0, ACKS
	mov	%r10, MAPPED_PTE
	invlpg	MAPPED
	mov	$ALL_BUT_SELF | 0x61, %eax
	send
2:	pause
	cmp	%rsi, ACKS
	jb	2b
	mov	%r9, GENERATION
	cmp	%r8, %r9
	jb	1b
	movq	$1, OVER
	mov	%r9, %rax
	jmp	done

/* (id): read through the mapping all the time; how often was it older than it can be? */
entry watch
	own_stack
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	sti
1:	mov	GENERATION, %rax
	mov	MAPPED, %rcx
	cmp	%rax, %rcx
	jae	2f
	inc	%r8
2:	inc	%r9
	cmpq	$0, OVER
	je	1b
	cli
	mov	%r8, %rax
	jmp	done

/* (id): count, until it is over */
entry count
	shl	$6, %rdi
	sti
1:	incq	PROGRESS(%rdi)
	cmpq	$0, OVER
	je	1b
	cli
	mov	PROGRESS(%rdi), %rax
	ret

/* (id): sleep with interrupts on, until it is over */
entry sleep
	own_stack
1:	cli
	cmpq	$0, OVER
	jne	2f
	sti
	hlt
	jmp	1b
2:	mov	%rdi, %rax
	jmp	done

/* (destination, command): an interprocessor interrupt; logical destinations are as x2APIC forms them */
entry send
	mov	%rdi, %rax
	shl	$32, %rax
	or	%rsi, %rax
	send
	ret

entry let_in
	sti
	nop
	cli
	ret

/* (): the id that messages reach this vCPU by in logical mode */
entry logical_id
	mov	$X2APIC_LDR, %ecx
	rdmsr
	ret

/* (vector): INIT and start-up for all others; the page of the vector has start_real in it */
entry start_others
	mov	$ALL_BUT_SELF | 0x4500, %eax
	send
	lea	ALL_BUT_SELF | 0x4600(%rdi), %rax
	send
	ret

/*
 * Where they start: from real mode to 64-bit mode with the boot processor's tables, straight. DS is the page
 * that this has been copied to. Then the ring, of as many and with as many turns as the host has written down.
 */
	.code16
entry start_real
	mov	%cs, %ax
	mov	%ax, %ds
	lgdtl	start_gdt - start_real
	mov	$0x20, %eax		/* CR4.PAE */
	mov	%eax, %cr4
	mov	$0x3000, %eax		/* the PML4 */
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	mov	$0x100, %eax
	xor	%edx, %edx
	wrmsr
	mov	$0x80010031, %eax	/* CR0: PG, WP, NE, ET, PE */
	mov	%eax, %cr0
	ljmpl	$CS64, $start_64
start_gdt:
	.word	0xff
	.long	0x1000
start_idt:
	.word	0xfff
	.quad	0x2000
entry start_real_end

	.code64
start_64:
	lidt	start_idt(%rip)
	mov	$DS, %eax
	mov	%eax, %ss
	mov	$0xfee00c00, %eax
	wrmsr_to X2APIC_BASE
	mov	$0x1ff, %eax
	wrmsr_to X2APIC_SVR
	mov	$X2APIC_ID, %ecx
	rdmsr
	lock incq READY
	mov	%rax, %rdi
	mov	RING_SIZE, %rsi
	mov	RING_TURNS, %rdx
	jmp	ring

/* An exception without a handler */
entry die
	lidt	no_idt(%rip)
	ud2
no_idt:	.word	0
	.quad	0
