/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What every guest begins with: 256 entry stubs, one for each vector, 16 bytes
 * apart, and the handler behind them. The host's side (lib/vm.c) makes page tables, GDT,
 * IDT and TSS, so a guest is functions only: the host calls them, arguments in
 * RDI, RSI, RDX, RCX, R8, R9; they return in RAX (to guest_done, which says so).
 *
 * The handler writes down what came (the record), then
 *   - if the record's resume is set: goes on there, at CPL 0 (see try, try_user);
 *   - else if there is a hook for the vector: calls it, RDI pointing to the frame, and IRET;
 *   - else tells the host of an unexpected exception; a vector of 32 or more, IRET.
 *
 * The numbers are the same as in lib/vm.h.
 */
#define PORT_DONE	0xf0	/* the function has returned; the value is in RAX */
#define PORT_REPORT	0xf1	/* a value for the host, in RAX */
#define PORT_EXCEPTION	0xf2	/* an exception nobody expected: see the record */

#define RECORD		0xa000
#define RESUME		(RECORD + 0x00)
#define KERNEL_RSP	(RECORD + 0x08)
#define VECTOR		(RECORD + 0x10)	/* of the last event */
#define ERROR		(RECORD + 0x18)
#define EVENT_RIP	(RECORD + 0x20)
#define EVENT_CS	(RECORD + 0x28)
#define EVENT_RFLAGS	(RECORD + 0x30)
#define EVENT_RSP	(RECORD + 0x38)
#define EVENT_SS	(RECORD + 0x40)
#define EVENT_CR2	(RECORD + 0x48)
#define COUNT		(RECORD + 0x50)	/* of events */
#define SHARED		(RECORD + 0x58)	/* host and guest tell each other something */
#define LOG		(RECORD + 0x100) /* vectors, a byte each */
#define LOG_SIZE	256
#define HOOKS		(RECORD + 0x800)

#define STACK_USER	0x60000
#define CODE		0x10000
#define DATA		0x100000	/* and above: the test's own */
#define APIC		0xfee00000
#define HOLE		0x10000000	/* and above: no memory, mapped by the page tables */

#define CS64		0x08
#define DS		0x10
#define CS32		0x18
#define USER_CS32	0x23
#define USER_DS		0x2b
#define USER_CS64	0x33
#define CS16		0x38
#define DS16		0x40

/* Offsets in the frame a hook gets in RDI */
#define FRAME_RAX	0x00	/* then RCX, RDX, RBX, RSI, RDI, R8 to R11 */
#define FRAME_VECTOR	0x50
#define FRAME_ERROR	0x58
#define FRAME_RIP	0x60
#define FRAME_CS	0x68
#define FRAME_RFLAGS	0x70
#define FRAME_RSP	0x78
#define FRAME_SS	0x80

/* A function the host can call, or something it wants the address of */
.macro entry name
	.global \name
\name:
.endm

/* RAX to the host; execution goes on */
.macro report value:vararg
	.ifnb \value
	mov	\value, %rax
	.endif
	out	%eax, $PORT_REPORT
.endm

/*
 * Carry out an instruction at CPL 0; RAX: the vector of the exception, or -1. Changes RAX only
 * (and what the instruction changes).
 */
.macro try insn:vararg
	lea	.Lresume\@(%rip), %rax
	mov	%rax, RESUME
	movq	$-1, VECTOR
	mov	.Lrax(%rip), %rax
	\insn
.Lresume\@:
	movq	$0, RESUME
	mov	VECTOR, %rax
.endm

/* The same at CPL 3, on the user's stack; RAX: the vector, 0x80 if there was no exception */
.macro try_user insn:vararg
	lea	.Lresume\@(%rip), %rax
	mov	%rax, RESUME
	mov	%rsp, KERNEL_RSP
	pushq	$USER_DS
	pushq	$STACK_USER
	pushq	.Luser_rflags(%rip)
	pushq	$USER_CS64
	lea	.Luser\@(%rip), %rax
	push	%rax
	mov	.Lrax(%rip), %rax
	iretq
.Luser\@:
	\insn
	int	$0x80
.Lresume\@:
	mov	VECTOR, %rax
.endm

/* RAX: @counter, once it is RDI at least; till then spin, with interrupts on */
.macro spin_until counter
	sti
1:	cmp	%rdi, \counter
	jb	1b
	cli
	mov	\counter, %rax
.endm

/* The same in HLT */
.macro halt_until counter
1:	cli
	cmp	%rdi, \counter
	jae	2f
	sti
	hlt
	jmp	1b
2:	mov	\counter, %rax
.endm

/*
 * A function, "window": interrupts off, a report, on. RAX: how many events have come; where one came is
 * in the record.
 */
.macro window_function
entry window
	cli
	report	$1
	nop
	sti
	nop
entry window_after
	nop
	cli
	mov	COUNT, %rax
	ret
.endm

	.text
stubs:
.set vector, 0
.rept 256
	.balign 16
	.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
	.else
	pushq	$0
	.endif
	.byte	0x68		/* push imm32 */
	.long	vector
	jmp	common
.set vector, vector + 1
.endr

/* Where a function returns to: always at CODE + 0x1000 */
	.org	0x1000
entry done
	out	%eax, $PORT_DONE
	jmp	done

common:
	push	%r11
	push	%r10
	push	%r9
	push	%r8
	push	%rdi
	push	%rsi
	push	%rbx
	push	%rdx
	push	%rcx
	push	%rax
	cld

	/* The record */
	mov	FRAME_VECTOR(%rsp), %rax
	mov	%rax, VECTOR
	mov	COUNT, %rcx
	incq	COUNT
	cmp	$LOG_SIZE, %rcx
	jae	1f
	mov	%al, LOG(%rcx)
1:	lea	FRAME_ERROR(%rsp), %rsi
	mov	$ERROR, %edi
	mov	$6, %ecx
	rep movsq
	mov	%cr2, %rcx
	mov	%rcx, EVENT_CR2

	/* Go on elsewhere? */
	mov	RESUME, %rcx
	test	%rcx, %rcx
	jz	2f
	movq	$0, RESUME
	mov	%rcx, FRAME_RIP(%rsp)
	testb	$3, FRAME_CS(%rsp)
	jz	4f
	movq	$CS64, FRAME_CS(%rsp)
	movq	$DS, FRAME_SS(%rsp)
	mov	KERNEL_RSP, %rcx
	mov	%rcx, FRAME_RSP(%rsp)
	andq	$~0x3000, FRAME_RFLAGS(%rsp)
	jmp	4f

2:	mov	HOOKS(, %rax, 8), %rcx
	test	%rcx, %rcx
	jz	3f
	mov	%rsp, %rdi
	call	*%rcx
	jmp	4f

3:	cmp	$32, %eax
	jae	4f
	out	%eax, $PORT_EXCEPTION
	ud2

4:	pop	%rax
	pop	%rcx
	pop	%rdx
	pop	%rbx
	pop	%rsi
	pop	%rdi
	pop	%r8
	pop	%r9
	pop	%r10
	pop	%r11
	add	$16, %rsp
	iretq

entry try_rax
.Lrax:	.quad	0			/* RAX of what try tries */
entry user_rflags
.Luser_rflags: .quad 2			/* RFLAGS of what try_user tries */
