/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Accesses of every kind, thousands in a run, and what became of each: permissions.c. The host
 * fills in the trials; the guest writes a trial's entries into the tables, flushes the address, tries
 * the access at the privilege level asked for, and notes the fault and what the entries are then.
 *
 * The same twice: in 64-bit code, and in 32-bit code for the formats that long mode does not have.
 */
#include "guests/guest.h"

#define IDT32_TRAP	0x80

/* What the host and both loops agree on: permissions.c */
#define CONTROL		0x94000
#define C_TRIALS	(CONTROL + 0x00)
#define C_COUNT		(CONTROL + 0x08)
#define C_CR0		(CONTROL + 0x10)
#define C_CR4		(CONTROL + 0x18)
#define C_EFER		(CONTROL + 0x20)
#define C_ENTRY_SIZE	(CONTROL + 0x28)
#define C_PLACES	(CONTROL + 0x30)	/* of the entries of levels 1 to 4; 0: there is none */
#define C_UNUSED	(CONTROL + 0x50)	/* type byte of the descriptor that has not been accessed */

#define T_ENTRY		0x00			/* of levels 1 to 4 */
#define T_HOW		0x20
#define T_ADDRESS	0x28
#define T_VECTOR	0x30
#define T_ERROR		0x38
#define T_CR2		0x40
#define T_AFTER		0x48			/* the entries */
#define TRIAL_SIZE	0x68

/* T_HOW: the kind, and */
#define HOW_KIND	0x07
#define KIND_FETCH	2
#define HOW_USER	0x08
#define HOW_AC		0x10
#define HOW_KEEP	0x20			/* leave entries and TLB as they are */

/* The selectors of two descriptors in the LDT, which is in the page */
#define ACCESSED	0x0f
#define UNUSED		0x17

/*
 * 16 bytes a kind: read, write, fetch (which goes to the address itself), and what the processor
 * does for a MOV to FS: read a descriptor; read one, and mark it as accessed. INT 0x80 tells that
 * there was no fault.
 */
.macro accesses address
	.balign	16
	movb	(\address), %al
	int	$IDT32_TRAP
	.balign	16
	movb	%al, (\address)
	int	$IDT32_TRAP
	.balign	16
	int	$IDT32_TRAP
	.balign	16
	mov	$ACCESSED, %eax
	mov	%eax, %fs
	int	$IDT32_TRAP
	.balign	16
	mov	$UNUSED, %eax
	mov	%eax, %fs
	int	$IDT32_TRAP
.endm

/* ---- 64-bit ---- */

/* CR0, CR4 and EFER as the host wants them, then the trials; R12: this one, R13: how many to go */
entry run
	call	set_controls
	mov	C_TRIALS, %r12
	mov	C_COUNT, %r13
1:	testb	$HOW_KEEP, T_HOW(%r12)
	jnz	2f
	call	write_entries
2:	call	try_access
	call	note_result
	add	$TRIAL_SIZE, %r12
	dec	%r13
	jnz	1b
	ret

set_controls:
	mov	C_CR0, %rax
	mov	%rax, %cr0
	mov	C_CR4, %rax
	mov	%rax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	mov	C_EFER, %eax
	wrmsr
	ret

write_entries:
	xor	%ecx, %ecx
1:	mov	C_PLACES(, %rcx, 8), %rdi
	test	%rdi, %rdi
	jz	2f
	mov	T_ENTRY(%r12, %rcx, 8), %rax
	mov	%rax, (%rdi)
2:	inc	%ecx
	cmp	$4, %ecx
	jb	1b
	mov	T_ADDRESS(%r12), %rdi
	invlpg	(%rdi)
	ret

/* To the access by IRET, and back by the handler of whatever it ends with */
try_access:
	mov	C_UNUSED, %rax
	movb	$0xf2, (%rax)		/* data, writable, DPL 3; not accessed */
	mov	T_HOW(%r12), %eax
	mov	T_ADDRESS(%r12), %rdi
	lea	3f(%rip), %rcx
	mov	%rcx, RESUME
	mov	%rsp, KERNEL_RSP
	mov	%eax, %ecx
	and	$HOW_KIND, %ecx
	shl	$4, %ecx
	mov	%rsp, %rdx
	test	$HOW_USER, %eax
	jnz	1f
	lea	supervisor_accesses(%rcx), %rcx
	pushq	$DS
	push	%rdx
	mov	$CS64, %edx
	jmp	2f
1:	lea	user_accesses(%rcx), %rcx
	pushq	$USER_DS
	pushq	$STACK_USER
	mov	$USER_CS64, %edx
2:	mov	%eax, %esi
	and	$HOW_AC, %esi
	shl	$14, %esi		/* bit 4 becomes bit 18 */
	or	$2, %esi
	push	%rsi
	push	%rdx
	and	$HOW_KIND, %eax
	cmp	$KIND_FETCH, %eax
	cmove	%rdi, %rcx
	push	%rcx
	iretq
3:	ret

note_result:
	mov	VECTOR, %rax
	mov	%rax, T_VECTOR(%r12)
	mov	ERROR, %rax
	mov	%rax, T_ERROR(%r12)
	mov	EVENT_CR2, %rax
	mov	%rax, T_CR2(%r12)
	xor	%ecx, %ecx
1:	mov	C_PLACES(, %rcx, 8), %rdi
	test	%rdi, %rdi
	jz	2f
	mov	(%rdi), %rax
	mov	%rax, T_AFTER(%r12, %rcx, 8)
2:	inc	%ecx
	cmp	$4, %ecx
	jb	1b
	ret

	.balign	16
supervisor_accesses:
	accesses %rdi

/* ---- who else ends a translation: SDM 4.10.4 ---- */

/*
 * remap(address, place, entry, flush, argument): read, so that the translation is cached; change its
 * entry; flush; and what is read then. The flushes have the address in RDI, the argument in R8.
 */
entry remap
	mov	(%rdi), %eax
	mov	%rdx, (%rsi)
	call	*%rcx
	mov	(%rdi), %eax
	ret

/* The same, but entry and flush come while another address space, R9, is loaded; without a flush by CR3 */
entry remap_from_other
	mov	%cr3, %r10
	bts	$63, %r10
	bts	$63, %r9
	mov	(%rdi), %eax
	mov	%r9, %cr3
	mov	%rdx, (%rsi)
	call	*%rcx
	mov	%r10, %cr3
	mov	(%rdi), %eax
	ret

/* in_spaces(address, CR3, CR3): what is there in the first (high half) and in the second */
entry in_spaces
	mov	%rsi, %cr3
	mov	(%rdi), %eax
	shl	$32, %rax
	mov	%rdx, %cr3
	mov	(%rdi), %ecx
	or	%rcx, %rax
	ret

entry flush_nothing
	ret
entry flush_invlpg
	invlpg	(%rdi)
	ret
entry flush_cr3
	mov	%cr3, %rax
	mov	%rax, %cr3
	ret
entry flush_cr3_keep
	mov	%cr3, %rax
	bts	$63, %rax
	mov	%rax, %cr3
	ret
entry flush_pge
	mov	%cr4, %rax
	btc	$7, %rax
	mov	%rax, %cr4
	btc	$7, %rax
	mov	%rax, %cr4
	ret
entry flush_smep
	mov	%cr4, %rax
	btr	$20, %rax
	mov	%rax, %cr4
	bts	$20, %rax
	mov	%rax, %cr4
	ret

/* The argument: the type, and above bit 8 the PCID */
entry flush_invpcid
	mov	%r8, %rax
	shr	$8, %rax
	push	%rdi
	push	%rax
	movzbl	%r8b, %eax
	invpcid	(%rsp), %rax
	pop	%rax
	pop	%rdi
	ret
entry try_invpcid
	push	%rdi
	pushq	$0
	mov	$2, %ebx
	try	invpcid (%rsp), %rbx
	add	$16, %rsp
	ret

/* nxe_there_and_back(address, place, entry, EFER): INVLPG, and EFER.NXE changed after that; what is read */
entry nxe_there_and_back
	mov	%rcx, %r9
	mov	$0xc0000080, %ecx
	mov	(%rdi), %r8d
	mov	%rdx, %r10
	xor	%edx, %edx
	mov	%r9d, %eax
	btc	$11, %eax
	wrmsr
	mov	(%rdi), %r8d
	mov	%r10, (%rsi)
	invlpg	(%rdi)
	mov	(%rdi), %r8d
	mov	%r9d, %eax
	wrmsr
	mov	(%rdi), %eax
	ret

/* ---- tables that others write ---- */

/* count(address): one more there, by what the entry says then, until the host's word is 0; how often */
entry count
	sti
	xor	%eax, %eax
1:	incq	(%rdi)
	invlpg	(%rdi)
	inc	%rax
	mov	%rax, SHARED
	cmpq	$0, C_COUNT
	jne	1b
	cli
	ret

/* ---- 32-bit: as above; EBP: this trial, EBX: how many to go ---- */

	.code32
entry done32
	out	%eax, $PORT_DONE
	jmp	done32

entry run32
	mov	$USER_DS, %eax		/* stays when the privilege level changes */
	mov	%eax, %ds
	mov	%eax, %es
	call	set_controls32
	mov	C_TRIALS, %ebp
	mov	C_COUNT, %ebx
1:	testb	$HOW_KEEP, T_HOW(%ebp)
	jnz	2f
	call	write_entries32
2:	call	try_access32
	call	note_result32
	add	$TRIAL_SIZE, %ebp
	dec	%ebx
	jnz	1b
	ret

set_controls32:
	mov	C_CR0, %eax
	mov	%eax, %cr0
	mov	C_CR4, %eax
	mov	%eax, %cr4
	mov	$0xc0000080, %ecx
	rdmsr
	mov	C_EFER, %eax
	wrmsr
	ret

write_entries32:
	xor	%ecx, %ecx
1:	mov	C_PLACES(, %ecx, 8), %edi
	test	%edi, %edi
	jz	2f
	cmpl	$8, C_ENTRY_SIZE
	jne	3f
	mov	T_ENTRY + 4(%ebp, %ecx, 8), %eax
	mov	%eax, 4(%edi)
3:	mov	T_ENTRY(%ebp, %ecx, 8), %eax
	mov	%eax, (%edi)
2:	inc	%ecx
	cmp	$4, %ecx
	jb	1b
	mov	T_ADDRESS(%ebp), %edi
	invlpg	(%edi)
	ret

try_access32:
	mov	C_UNUSED, %eax
	movb	$0xf2, (%eax)
	mov	T_HOW(%ebp), %eax
	mov	T_ADDRESS(%ebp), %edi
	movl	$3f, RESUME
	mov	%esp, KERNEL_RSP
	mov	%eax, %ecx
	and	$HOW_KIND, %ecx
	shl	$4, %ecx
	mov	$CS32, %edx
	test	$HOW_USER, %eax
	jnz	1f
	add	$supervisor_accesses32, %ecx
	jmp	2f
1:	add	$user_accesses32, %ecx
	mov	$USER_CS32, %edx
	push	$USER_DS
	push	$STACK_USER
2:	mov	%eax, %esi
	and	$HOW_AC, %esi
	shl	$14, %esi
	or	$2, %esi
	push	%esi
	push	%edx
	and	$HOW_KIND, %eax
	cmp	$KIND_FETCH, %eax
	cmove	%edi, %ecx
	push	%ecx
	iret
3:	ret

note_result32:
	mov	VECTOR, %eax
	mov	%eax, T_VECTOR(%ebp)
	mov	ERROR, %eax
	mov	%eax, T_ERROR(%ebp)
	mov	EVENT_CR2, %eax
	mov	%eax, T_CR2(%ebp)
	xor	%ecx, %ecx
1:	mov	C_PLACES(, %ecx, 8), %edi
	test	%edi, %edi
	jz	2f
	mov	(%edi), %eax
	mov	%eax, T_AFTER(%ebp, %ecx, 8)
	cmpl	$8, C_ENTRY_SIZE
	jne	2f
	mov	4(%edi), %eax
	mov	%eax, T_AFTER + 4(%ebp, %ecx, 8)
2:	inc	%ecx
	cmp	$4, %ecx
	jb	1b
	ret

	.balign	16
supervisor_accesses32:
	accesses %edi

/* Vectors 0 to 31, then 0x80; the handler has no need to come back where it came from */
	.balign 16
entry stubs32
.set vector, 0
.rept 33
	.balign 16
	.if (vector == 8) || ((vector >= 10) && (vector <= 14)) || (vector == 17)
	.else
	push	$0
	.endif
	.if vector == 32
	push	$IDT32_TRAP
	.else
	push	$vector
	.endif
	jmp	common32
.set vector, vector + 1
.endr
	.balign 16
common32:
	mov	(%esp), %eax
	mov	%eax, VECTOR
	mov	4(%esp), %eax
	mov	%eax, ERROR
	mov	8(%esp), %eax
	mov	%eax, EVENT_RIP
	mov	%cr2, %eax
	mov	%eax, EVENT_CR2
	incl	COUNT
	mov	RESUME, %eax
	test	%eax, %eax
	jnz	1f
	mov	VECTOR, %eax
	out	%eax, $PORT_EXCEPTION
1:	movl	$0, RESUME
	mov	KERNEL_RSP, %esp
	jmp	*%eax

/* ---- what CPL 3 executes: a page of its own, which SMEP keeps the rest away from ---- */

	.balign 4096
entry user_page
user_accesses32:
	accesses %edi
	.code64
	.balign 256
user_accesses:
	accesses %rdi
