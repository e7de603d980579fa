/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A flat image, at 0x8000, for a machine with CROWD processors: the first starts the others by INIT and a start-up
 * IPI, in real mode with the APIC's MSRs; each counts itself. When all are there the last says so and gives 7 to
 * the debug-exit port, or, with FATAL in the symbol table, has an exception that nothing can handle.
 *
 * Who waits reads a port, which leaves the guest: Bochs 2.7 keeps the host's interrupts from one that
 * spins with interrupts off.
 */
#define APIC_BASE	0x1b
#define X2APIC_ID	0x802
#define X2APIC_SVR	0x80f
#define X2APIC_ICR	0x830
#define ALL_BUT_SELF	(3 << 18)

.macro icr value
	mov $X2APIC_ICR, %ecx
	mov $ALL_BUT_SELF | \value, %eax
	xor %edx, %edx
	wrmsr
.endm

	.code16
	.globl _start
_start:
	cli
	xor %ax, %ax
	mov %ax, %ds
	mov $APIC_BASE, %ecx
	rdmsr
	mov %eax, %ebx
	or $0xc00, %eax			/* x2APIC mode */
	wrmsr
	mov $X2APIC_SVR, %ecx
	mov $0x1ff, %eax
	xor %edx, %edx
	wrmsr
	test $0x100, %ebx		/* the bootstrap processor? */
	jz here
	icr 0x4500			/* INIT, and start-up at 0x8000 */
	icr 0x4608
here:	lock incw count
	mov $X2APIC_ID, %ecx
	rdmsr
	cmp $CROWD - 1, %eax
	jne sleep
wait:	in $0x80, %al
	cmpw $CROWD, count
	jne wait
#ifdef FATAL
	lidt none
	int3
#else
	mov $hello, %si
	cld
0:	lodsb
	test %al, %al
	jz 1f
	mov $0x3f8, %dx
	out %al, %dx
	jmp 0b
1:	mov $7, %al
	mov $0xf4, %dx
	out %al, %dx
#endif
sleep:	hlt
	jmp sleep

count:	.word 0
none:	.word 0
	.long 0
hello:	.asciz "all are there\r\n"
