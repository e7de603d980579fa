/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Into the guest and out of it: the only place where guest registers are in the processor
 * while host code runs. Everything that VM entry and VM exit do not switch by themselves, and
 * that C code cannot hold off until later, is here: the general registers, SPEC_CTRL, and the
 * barriers that have to be the last thing before, or the first thing after.
 */
#include <linux/linkage.h>
#include <linux/objtool.h>
#include <asm/asm.h>
#include <asm/msr-index.h>
#include <asm/nospec-branch.h>
#include <asm/segment.h>
#include "entry.h"

#define HOST_RSP_FIELD	0x6c14		/* SDM appendix B.4.4 */

/* Offsets in the array of general registers: the processor's own numbering, enum thv_gpr */
#define GPR(number)	((number) * 8)
#define RAX	0
#define RCX	1
#define RDX	2
#define RBX	3
#define RBP	5
#define RSI	6
#define RDI	7

.section .noinstr.text, "ax"

/**
 * bool thv_vmx_enter(u64 *gpr, u64 *host_rsp, u32 flags, u64 guest_spec_ctrl, u64 host_spec_ctrl)
 * @gpr:		%rdi; the guest's registers, both ways. RSP is not touched, the VMCS has it.
 * @host_rsp:              %rsi; what HOST_RSP was last set to, so that it is written only when
 * the stack moved.
 * @flags:		%edx; ENTER_* of entry.h.
 * @guest_spec_ctrl:	%rcx; IA32_SPEC_CTRL for the guest, with ENTER_SPEC_CTRL.
 * @host_spec_ctrl:	%r8; and for the host, after.
 *
 * Interrupts off. true: there was no entry (VMfail, SDM 31.2, or VMX is off on this CPU);
 * false: the guest ran (or failed to load, SDM 27.8) and this is its exit.
 */
SYM_FUNC_START(thv_vmx_enter)
	push %rbp
	push %r15
	push %r14
	push %r13
	push %r12
	push %rbx

	/* What the way out needs: it has no register left to find anything else by. */
	push %r8
	push %rdx
	push %rdi

	cmp %rsp, (%rsi)
	je .Lrsp_done
	mov %rsp, (%rsi)
	mov $HOST_RSP_FIELD, %eax
.Lvmwrite:
	vmwrite %rsp, %rax
.Lrsp_done:
	mov %edx, %ebx
	test $ENTER_SPEC_CTRL, %ebx
	jz 1f
	/*
	 * From here to the entry no RET and no indirect branch: they would run under the guest's
	 * setting.
	 */
	mov %rcx, %rax
	mov %rcx, %rdx
	shr $32, %rdx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
1:
	/*
	 * Both decisions that are still to be taken go into flags, since no register will be left:
	 * ZF, no VERW wanted; CF, this VMCS was launched. BT leaves ZF alone, and so does MOV.
	 */
	test $ENTER_VERW, %ebx
	bt $ENTER_RESUME_BIT, %ebx

	mov %rdi, %rax
	mov GPR(RCX)(%rax), %rcx
	mov GPR(RDX)(%rax), %rdx
	mov GPR(RBX)(%rax), %rbx
	mov GPR(RBP)(%rax), %rbp
	mov GPR(RSI)(%rax), %rsi
	mov GPR(RDI)(%rax), %rdi
	mov GPR(8)(%rax), %r8
	mov GPR(9)(%rax), %r9
	mov GPR(10)(%rax), %r10
	mov GPR(11)(%rax), %r11
	mov GPR(12)(%rax), %r12
	mov GPR(13)(%rax), %r13
	mov GPR(14)(%rax), %r14
	mov GPR(15)(%rax), %r15
	mov GPR(RAX)(%rax), %rax

	/*
	 * MDS, TAA, MMIO stale data: the last memory access of the host has been made, so what
	 * its buffers hold can go. VERW changes ZF alone.
	 */
	jz 1f
	verw thv_verw_selector(%rip)
1:
	jnc .Lvmlaunch
.Lvmresume:
	vmresume
	jmp .Lexit
.Lvmlaunch:
	vmlaunch
	jmp .Lexit

	/* #UD: a crash turned VMX off on this CPU under our feet. Report it as VMfail. */
.Lfault:
	stc
	jmp .Lexit

/*
 * HOST_RIP. A VM exit clears CF and ZF (SDM 28.5.3), VMfail sets one of them, so both
 * ends meet here and the flags tell. After VMfail the registers still are the guest's
 * own, unchanged, and storing them again does no harm.
 */
SYM_INNER_LABEL(thv_vmx_exit, SYM_L_GLOBAL)
	ANNOTATE_NOENDBR
.Lexit:
	push %rax
	mov 8(%rsp), %rax
	pop GPR(RAX)(%rax)
	mov %rcx, GPR(RCX)(%rax)
	mov %rdx, GPR(RDX)(%rax)
	mov %rbx, GPR(RBX)(%rax)
	mov %rbp, GPR(RBP)(%rax)
	mov %rsi, GPR(RSI)(%rax)
	mov %rdi, GPR(RDI)(%rax)
	mov %r8, GPR(8)(%rax)
	mov %r9, GPR(9)(%rax)
	mov %r10, GPR(10)(%rax)
	mov %r11, GPR(11)(%rax)
	mov %r12, GPR(12)(%rax)
	mov %r13, GPR(13)(%rax)
	mov %r14, GPR(14)(%rax)
	mov %r15, GPR(15)(%rax)

	setbe %bl

	/*
	 * Nothing of the guest's may steer the host's speculation: its values leave the registers
	 * now, and the return-stack buffer is filled before the first RET.
	 */
	xor %eax, %eax
	xor %ecx, %ecx
	xor %edx, %edx
	xor %ebp, %ebp
	xor %esi, %esi
	xor %edi, %edi
	xor %r8d, %r8d
	xor %r9d, %r9d
	xor %r10d, %r10d
	xor %r11d, %r11d
	xor %r12d, %r12d
	xor %r13d, %r13d
	xor %r14d, %r14d
	xor %r15d, %r15d

	FILL_RETURN_BUFFER %rcx, RSB_CLEAR_LOOPS, X86_FEATURE_RSB_VMEXIT, X86_FEATURE_RSB_VMEXIT_LITE

	pop %rdi			/* gpr: done with */
	pop %rdi			/* flags */
	pop %rax			/* host_spec_ctrl */
	test $ENTER_SPEC_CTRL, %edi
	jz 1f
	mov %rax, %rdx
	shr $32, %rdx
	mov $MSR_IA32_SPEC_CTRL, %ecx
	wrmsr
1:
	CLEAR_BRANCH_HISTORY_VMEXIT

	movzbl %bl, %eax
	pop %rbx
	pop %r12
	pop %r13
	pop %r14
	pop %r15
	pop %rbp
	RET

	_ASM_EXTABLE(.Lvmwrite, .Lrsp_done)
	_ASM_EXTABLE(.Lvmresume, .Lfault)
	_ASM_EXTABLE(.Lvmlaunch, .Lfault)
SYM_FUNC_END(thv_vmx_enter)

.section .rodata, "a"
/*
 * VERW clears buffers when its operand is a writable data segment's selector, in memory (MDS
 * white paper).
 */
SYM_DATA_LOCAL(thv_verw_selector, .word __KERNEL_DS)
