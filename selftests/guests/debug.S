/* SPDX-License-Identifier: GPL-2.0-only */
/* What a debugger stops at, instruction by instruction: debug.c */
#include "guests/guest.h"

#define SCRATCH	DATA		/* read and written */
#define SEEN	(DATA + 0x100)	/* debug registers as the guest reads them */
#define STEPS	(DATA + 0x200)	/* the guest's own #DB: how many; then RIP and DR6 of each */

/* ---- hooks ---- */

entry hook_return
	ret

/* A #DB of the guest's own: where, and DR6, which it clears */
entry hook_db
	mov	STEPS, %rax
	shl	$4, %rax
	mov	FRAME_RIP(%rdi), %rcx
	mov	%rcx, STEPS + 16(%rax)
	mov	%dr6, %rcx
	mov	%rcx, STEPS + 24(%rax)
	incq	STEPS
	xor	%ecx, %ecx
	mov	%rcx, %dr6
	ret

/* ---- breakpoints ---- */

entry int3
	mov	$1, %eax
entry int3_at
	int3
entry int3_after
	mov	COUNT, %rax
	ret

/* Three times through one instruction */
entry loop
	mov	$3, %ecx
1:	nop
entry loop_at
	incq	SCRATCH
entry loop_after
	dec	%ecx
	jnz	1b
	ret

/* jump(address): to another page */
entry jump
	jmp	*%rdi

/* An instruction that exits by itself */
entry exiting
	push	%rbx
	xor	%eax, %eax
entry exiting_at
	cpuid
entry exiting_after
	pop	%rbx
	ret

/* store(address, RSI: value) and load(address), of each length */
entry store1
	mov	%sil, (%rdi)
entry store1_after
	ret
entry store2
	mov	%si, (%rdi)
entry store2_after
	ret
entry store4
	mov	%esi, (%rdi)
entry store4_after
	ret
entry store8
	mov	%rsi, (%rdi)
entry store8_after
	ret
entry load1
	mov	(%rdi), %al
entry load1_after
	ret

/* The guest's own debug registers: written, then read back and left at SEEN */
entry own_registers
	mov	$0x123450, %eax
	mov	%rax, %dr0
	mov	$0x123458, %eax
	mov	%rax, %dr3
	mov	$0x00000703, %eax
	mov	%rax, %dr7
	mov	%dr0, %rax
	mov	%rax, SEEN
	mov	%dr3, %rax
	mov	%rax, SEEN + 8
	mov	%dr6, %rax
	mov	%rax, SEEN + 16
	mov	%dr7, %rax
	mov	%rax, SEEN + 24
	xor	%eax, %eax
	mov	%rax, %dr7
	ret

/* INT1: a #DB that no debug register made */
entry int1
	.byte	0xf1
entry int1_after
	mov	COUNT, %rax
	ret

/* ---- steps; each label is where one is expected to end, in order ---- */

entry steps
	push	%rbx
entry step_1
	pushfq				/* what it pushes is looked at in the end */
entry step_2
	pop	%r8
entry step_3
	xor	%eax, %eax
entry step_4
	cpuid				/* the module */
entry step_5
	mov	$0x1b, %ecx
entry step_6
	rdmsr				/* the module */
entry step_7
	out	%al, $0x80		/* the launcher */
entry step_8
	in	$0x80, %eax		/* the launcher */
entry step_9
	mov	%ss, %ecx
entry step_10
	mov	%ecx, %ss		/* its shadow does not hide the next */
entry step_11
	nop
entry step_12
	mov	%cr0, %rbx
entry step_13
	mov	%rbx, %cr0
entry step_14
	mov	%dr6, %rbx
entry step_15
	wbinvd				/* the module */
entry step_16
	sti
entry step_17
	cli				/* in the shadow of STI */
entry step_18
	pushq	$2
entry step_19
	popfq
entry step_20
	mov	$2, %ecx
entry step_21
	mov	$SCRATCH, %edi
entry step_22
	mov	$SCRATCH + 32, %esi
entry step_23
	rep movsb			/* twice: one iteration is one step */
entry step_24
	jmp	1f
	ud2
entry step_25
1:	lea	2f(%rip), %rax
entry step_26
	pushq	$DS
entry step_27
	lea	8(%rsp), %rbx
entry step_28
	push	%rbx
entry step_29
	pushq	$2
entry step_30
	pushq	$CS64
entry step_31
	push	%rax
entry step_32
	iretq
entry step_33
2:	mov	%r8, %rax
entry step_34
	pop	%rbx
entry step_35
	ret

/* Exceptions and software interrupts: the step ends in the handler */
entry undefined
	ud2
entry int80
	int	$0x80
entry int80_after
	mov	COUNT, %rax
	ret
entry bad_msr
	mov	$0x12345678, %ecx
	rdmsr
entry touch
	mov	(%rdi), %rax
	ret

/* SYSCALL, with RFLAGS.TF in IA32_FMASK; the host has set the MSRs */
entry syscall
	syscall
entry syscall_back
	ret
entry syscall_target
	mov	%rcx, %rax
	jmp	*%rcx

/* Interrupts are on, here and in the next */
entry halt
	hlt
entry halt_after
	nop
entry halt_end
	cli
	mov	COUNT, %rax
	ret

entry open
	nop
entry open_1
	nop
entry open_2
	nop
entry open_3
	nop
entry open_4
	cli
	mov	COUNT, %rax
	ret

/* The guest steps itself: two instructions */
entry own_steps
	pushfq
	orq	$0x100, (%rsp)
	popfq
entry own_1
	nop
entry own_2
	cpuid
entry own_3
	pushfq
	andq	$~0x100, (%rsp)
	popfq
entry own_4
	mov	STEPS, %rax
	ret

entry spin
1:	jmp	1b
