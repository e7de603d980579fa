/* SPDX-License-Identifier: GPL-2.0-only */
/* Exceptions, interrupts and NMIs, and the instructions around which they come: events.c */
#include "guests/guest.h"

#define STEPS	DATA		/* how many single steps; then RIP of each */
#define DR6S	(DATA + 0x400)	/* DR6 of each */
#define DEPTH	(DATA + 0x800)	/* NMI handlers under way */
#define DEEPEST	(DATA + 0x808)
#define NMIS	(DATA + 0x810)	/* NMI handlers done */
#define SCRATCH	(DATA + 0x900)

/* ---- hooks ---- */

/* Goes on as if nothing had been */
entry hook_return
	ret

/* Writes down where a #DB came, and DR6, which it clears */
entry hook_step
	mov	STEPS, %rax
	mov	FRAME_RIP(%rdi), %rcx
	mov	%rcx, STEPS + 8(, %rax, 8)
	mov	%dr6, %rcx
	mov	%rcx, DR6S(, %rax, 8)
	incq	STEPS
	xor	%ecx, %ecx
	mov	%rcx, %dr6
	ret

/* The same, and lets the instruction go that a code breakpoint stopped: RFLAGS.RF */
entry hook_resume
	call	hook_step
	orq	$0x10000, FRAME_RFLAGS(%rdi)
	ret

/* Tells the host that an NMI is being handled (port 0x82) */
entry hook_nmi
	incq	DEPTH
	mov	DEPTH, %rax
	cmp	DEEPEST, %rax
	jbe	1f
	mov	%rax, DEEPEST
1:	out	%al, $0x82
	decq	DEPTH
	incq	NMIS
	ret

/* ---- exceptions, one function each; RAX: the vector ---- */

entry divide
	xor	%edx, %edx
	xor	%ecx, %ecx
	try	div %ecx
	ret

entry undefined
	try	ud2
	ret

/* CR0.TS is set: the FPU is not available */
entry no_fpu
	mov	%cr0, %rcx
	or	$8, %rcx
	mov	%rcx, %cr0
	try	movaps %xmm0, %xmm1
	clts
	ret

/* A data segment that is not present; the selector is the argument */
entry load_ds
	try	mov %edi, %ds
	ret

/* A stack that is not canonical; RSP is put right afterwards */
entry bad_stack
	mov	%rsp, %rcx
	mov	$0x8000000000000000, %rax
	mov	%rax, try_rax
	try	push 8(%rax, %rax, 2)	/* memory operand: canonical? No: #GP */
	mov	%rcx, %rsp
	ret
entry bad_stack_ss
	mov	%rbp, %rcx
	mov	$0x8000000000000000, %rbp
	try	mov (%rbp), %rdx
	mov	%rcx, %rbp
	ret

/* Page faults: load(address), store(address), fetch(address), at CPL 0 and 3 */
entry load
	try	mov (%rdi), %rcx
	ret
entry store
	try	mov %rcx, (%rdi)
	ret
entry fetch
	mov	%rsp, %rcx
	try	call *%rdi
	mov	%rcx, %rsp
	ret
entry load_user
	try_user mov (%rdi), %rcx
	ret
entry store_user
	try_user mov %rcx, (%rdi)
	ret

/* Alignment: CR0.AM and RFLAGS.AC, at CPL 3 */
entry unaligned_user
	mov	%cr0, %rcx
	or	$0x40000, %rcx
	mov	%rcx, %cr0
	movq	$0x40002, user_rflags
	try_user mov SCRATCH + 1, %rcx
	movq	$2, user_rflags
	ret
entry unaligned
	mov	%cr0, %rcx
	or	$0x40000, %rcx
	mov	%rcx, %cr0
	pushq	$0x40002
	popfq
	try	mov SCRATCH + 1, %rcx
	pushq	$2
	popfq
	ret

/* SIMD: an invalid operation, masked and then not; CR4.OSXMMEXCPT */
entry simd
	mov	%cr4, %rcx
	or	$0x400, %rcx
	mov	%rcx, %cr4
	movl	$0x1d80, SCRATCH
	ldmxcsr	SCRATCH
	xorps	%xmm0, %xmm0
	try	divss %xmm0, %xmm0
	movl	$0x1d00, SCRATCH
	ldmxcsr	SCRATCH
	xorps	%xmm0, %xmm0
	try	divss %xmm0, %xmm0
	movl	$0x1f80, SCRATCH
	ldmxcsr	SCRATCH
	ret

/* x87: an unmasked division by zero, reported by the next instruction that waits */
entry x87
	fninit
	movw	$0x33b, SCRATCH
	fldcw	SCRATCH
	fld1
	fldz
	fdivrp
	try	fwait
	fninit
	ret

/* ---- software interrupts ---- */

entry int80
	int	$0x80
entry int80_after
	mov	COUNT, %rax
	ret
entry int3
	int3
entry int3_after
	mov	COUNT, %rax
	ret
entry icebp
	.byte	0xf1
entry icebp_after
	mov	COUNT, %rax
	ret
entry into
	try	.byte 0xce		/* INTO: not in 64-bit mode */
	ret
entry int80_user
	try_user nop
	ret
entry int21_user
	try_user int $0x21		/* its gate's DPL is 0 */
	ret

/* ---- single steps ---- */

.macro step_on
	pushfq
	orq	$0x100, (%rsp)
	popfq
.endm

/* The trap comes after the next instruction; each label is where one is expected */
entry steps
	push	%rbx
	xor	%eax, %eax
	mov	$DS, %esi
	step_on
	nop
entry step_1
	cpuid			/* the module */
entry step_2
	mov	$0x1b, %ecx
entry step_3
	rdmsr			/* the module */
entry step_4
	out	%al, $0x80	/* the launcher */
entry step_5
	mov	%esi, %ss	/* holds back the trap */
	nop
entry step_6
	mov	%esi, %ss
	cpuid			/* ... also one that exits */
entry step_7
	mov	%cr0, %rbx
entry step_8
	mov	%rbx, %cr0
entry step_9
	wbinvd			/* the module */
entry step_10
	pushfq
entry step_11
	andq	$~0x100, (%rsp)
entry step_12
	popfq			/* TF was set when it began */
entry step_13
	nop
	pop	%rbx
	ret

/* ---- breakpoints; the host has set the debug registers ---- */

entry code_breakpoint
	push	%rbx
	xor	%eax, %eax
	nop
entry code_breakpoint_at
	cpuid			/* an instruction that exits */
	pop	%rbx
	mov	COUNT, %rax
	ret
entry data_breakpoint
	movq	$5, SCRATCH
entry data_breakpoint_after
	mov	COUNT, %rax
	ret

/* ---- shadows; an interrupt is pending when they begin, IF is 0 ---- */

entry sti_nop
	sti
	nop
entry sti_nop_after
	nop
	cli
	mov	COUNT, %rax
	ret
entry sti_cpuid
	push	%rbx
	xor	%eax, %eax
	sti
	cpuid
entry sti_cpuid_after
	nop
	cli
	pop	%rbx
	mov	COUNT, %rax
	ret
entry sti_out
	sti
	out	%al, $0x80
entry sti_out_after
	nop
	cli
	mov	COUNT, %rax
	ret
entry popf_cpuid
	push	%rbx
	xor	%eax, %eax
	pushq	$0x202
	popfq
entry popf_cpuid_at
	cpuid
	cli
	pop	%rbx
	mov	COUNT, %rax
	ret

/* Interrupts are enabled when SS is loaded */
entry ss_out
	mov	%ss, %ecx
	sti
	nop
	mov	%ecx, %ss
	out	%al, $0x80
entry ss_out_after
	nop
	cli
	mov	COUNT, %rax
	ret

window_function

/* ---- NMIs ---- */

/* wait_nmis(n): until n have been handled; interrupts are on */
entry wait_nmis
	spin_until NMIS
	ret

/* Some instructions; where something injected comes before them */
entry plain
	nop
	nop
	mov	COUNT, %rax
	ret

/* wait_events(n), with interrupts on */
entry wait_events
	spin_until COUNT
	ret

/* ---- storms (threat 1) ---- */

/* A breakpoint on the stack that #DB itself is delivered on, which IST makes the same each time */
entry db_storm
	mov	$SCRATCH, %eax
	.byte	0xf1		/* ICEBP: the first */
	jmp	.

/* Returns to where it came from: the handler of a storm */
entry hook_forever
	ret
