/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A boot sector: says so on COM1 and gives 7 to the debug-exit port. It is where it was linked for, or
 * says that it is not; under a BIOS it also reads itself from the disk it came from, and looks
 * whether that is what it is (BIOS in the symbol table says that there is one).
 */
	.code16
	.globl _start
_start:
	ljmp $0, $here
here:
	xor %ax, %ax
	mov %ax, %ds
	mov %ax, %es
	mov %ax, %ss
	mov $0x7c00, %sp
	cld
	mov %dl, drive
	mov $hello, %si
	call print
#ifdef BIOS
	mov $0x0201, %ax		/* read one sector */
	mov $0x0001, %cx		/* cylinder 0, sector 1 */
	xor %dh, %dh
	mov drive, %dl
	mov $0x8000, %bx
	int $0x13
	jc bad
	mov $0x7c00, %si
	mov $0x8000, %di
	mov $64, %cx			/* words: its code */
	repe cmpsw
	jne bad
	sti				/* the BIOS's clock must tick: IRQ 0 through the 8259 */
	mov 0x46c, %eax
	mov $0x2000000, %ecx
0:	cmp 0x46c, %eax
	jne 1f
	dec %ecx
	jnz 0b
	jmp bad
1:	mov $tick, %si
	call print
#endif
	mov $7, %al
	jmp end
#ifdef BIOS
bad:	mov $wrong, %si
	call print
	mov $1, %al
#endif
end:	mov $0xf4, %dx
	out %al, %dx
0:	hlt
	jmp 0b

print:
	lodsb
	test %al, %al
	jz 1f
	mov $0x3f8, %dx
	out %al, %dx
	jmp print
1:	ret

hello:	.asciz "the boot sector runs\r\n"
#ifdef BIOS
tick:	.asciz "its disk can be read and its clock ticks\r\n"
wrong:	.asciz "but something is wrong\r\n"
#endif
drive:	.byte 0x80
	.org 510
	.word 0xaa55
