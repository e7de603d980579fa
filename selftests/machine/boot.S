/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The test machine's boot sector: from the BIOS straight into an uncompressed
 * kernel.
 *
 * An ordinary boot loader hands over a bzImage, which then decompresses itself:
 * 4.5 billion instructions for Debian's kernel, two minutes in the emulator.
 * Here the tool has decompressed it beforehand, on the real processor, and all
 * that is left to do is to copy bytes from the disk to their place in memory
 * and to enter the kernel the way its own decompressor does: in 64-bit mode,
 * interrupts off, memory mapped one to one, RSI pointing at struct boot_params
 * (Documentation/x86/boot.rst, "64-bit Boot Protocol").
 *
 * The disk is one stream of 64 KiB chunks. Chunk 0 holds this sector; the
 * stream goes to the places named in `extents`, one after the other. The tool
 * fills in `entry` and `extents`, which stand at fixed offsets at the end of
 * the sector for that purpose.
 *
 * Memory while this runs:
 *	0x01000  page tables (three pages)
 *	0x07c00  this sector; the stack grows down from it
 *	0x08000  the BIOS's memory map
 *	0x10000  boot_params, then the command line (first extent)
 */

#define PAGE_TABLES	0x1000
#define STACK		0x7c00
#define MEMORY_MAP	0x8000
#define BOOT_PARAMS	0x10000

/* Offsets in struct boot_params */
#define E820_ENTRIES	0x1e8
#define E820_TABLE	0x2d0
#define E820_ENTRY_SIZE	20
#define E820_MAX	128

#define COM3		0x3e8
#define ATA		0x1f0
#define CHUNK_SECTORS	128
#define SECTOR_LONGS	128

#define CODE32		0x08
#define CODE64		0x10		/* the kernel's __BOOT_CS */
#define DATA		0x18		/* the kernel's __BOOT_DS */

	.code16
	.globl	start
start:
	cli
	cld
	xorw	%ax, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss
	movw	$STACK, %sp

	/* Tell the tool that the BIOS is done. */
	movw	$COM3 + 3, %dx			/* line control: eight bits */
	movb	$3, %al
	outb	%al, %dx
	movw	$COM3, %dx
	movb	$'B', %al
	outb	%al, %dx

	/*
	 * Only the BIOS knows where it has put the ACPI tables, so the memory
	 * map must come from it, and only real mode can ask.
	 */
	movw	$MEMORY_MAP, %di
	xorl	%ebx, %ebx
1:	movl	$0xe820, %eax
	movl	$0x534d4150, %edx		/* "SMAP" */
	movl	$E820_ENTRY_SIZE, %ecx
	int	$0x15
	jc	2f
	addw	$E820_ENTRY_SIZE, %di
	incb	entries
	testl	%ebx, %ebx			/* zero after the last entry */
	jnz	1b
2:
	inb	$0x92, %al			/* let address line 20 through */
	orb	$2, %al
	outb	%al, $0x92

	lgdt	gdt_pointer
	movl	%cr0, %eax
	orb	$1, %al				/* CR0.PE */
	movl	%eax, %cr0
	ljmp	$CODE32, $protected

	.code32
protected:
	movw	$DATA, %ax
	movw	%ax, %ds
	movw	%ax, %es
	movw	%ax, %ss

	/* The stream: EBP counts sectors, EDI is where the next goes. */
	movl	$CHUNK_SECTORS, %ebp
	movl	$extents, %ebx
next_extent:
	movl	(%ebx), %edi			/* where to */
	movl	4(%ebx), %esi			/* how many chunks */
	addl	$8, %ebx
	testl	%esi, %esi
	jz	loaded
next_chunk:
	movw	$ATA + 2, %dx			/* sector count */
	movb	$CHUNK_SECTORS, %al
	outb	%al, %dx
	/*
	 * The sector number goes to four registers in a row, low byte first;
	 * the top byte also selects LBA addressing and the first drive.
	 */
	movl	%ebp, %eax
	orl	$0xe0000000, %eax
	movl	$4, %ecx
1:	incw	%dx
	outb	%al, %dx
	shrl	$8, %eax
	loop	1b
	incw	%dx
	movb	$0x20, %al			/* READ SECTORS */
	outb	%al, %dx

	movb	$CHUNK_SECTORS, %ah
next_sector:
	movw	$ATA + 7, %dx
1:	inb	%dx, %al
	andb	$0x88, %al			/* BSY and DRQ */
	cmpb	$0x08, %al			/* not busy, data ready */
	jne	1b
	movw	$ATA, %dx
	movl	$SECTOR_LONGS, %ecx
	rep insl
	decb	%ah
	jnz	next_sector

	addl	$CHUNK_SECTORS, %ebp
	decl	%esi
	jnz	next_chunk
	jmp	next_extent

loaded:
	/* boot_params is there now: complete it with the memory map. */
	movb	entries, %al
	movb	%al, BOOT_PARAMS + E820_ENTRIES
	movl	$MEMORY_MAP, %esi
	movl	$BOOT_PARAMS + E820_TABLE, %edi
	movl	$E820_ENTRY_SIZE * E820_MAX / 4, %ecx
	rep movsl

	/*
	 * Map the first GiB one to one: a level-4 and a level-3 table with one
	 * entry each, and a level-2 table of 512 pages of 2 MiB. The memory is
	 * zero after power-on, but not after a reset.
	 */
	xorl	%eax, %eax
	movl	$PAGE_TABLES, %edi
	movl	$2 * 4096 / 4, %ecx
	rep stosl
	movl	$PAGE_TABLES + 0x1000 + 3, PAGE_TABLES		/* present, writable */
	movl	$PAGE_TABLES + 0x2000 + 3, PAGE_TABLES + 0x1000
	movl	$0x83, %eax			/* present, writable, large */
	movl	$512, %ecx			/* EDI stands at the level-2 table */
1:	stosl
	movl	$0, (%edi)
	addl	$4, %edi
	addl	$0x200000, %eax
	loop	1b

	/* Long mode, in the order the manual wants (SDM 10.8.5) */
	movl	%cr4, %eax
	orb	$0x20, %al			/* CR4.PAE */
	movl	%eax, %cr4
	movl	$PAGE_TABLES, %eax
	movl	%eax, %cr3
	movl	$0xc0000080, %ecx		/* IA32_EFER.LME */
	rdmsr
	orl	$0x100, %eax
	wrmsr
	movl	%cr0, %eax
	orl	$0x80000000, %eax		/* CR0.PG */
	movl	%eax, %cr0

	movw	$COM3, %dx			/* "the kernel starts" */
	movb	$'K', %al
	outb	%al, %dx

	movl	$BOOT_PARAMS, %esi		/* the upper half of RSI is zero */
	movl	entry, %eax
	ljmp	$CODE64, $long_mode

	.code64
long_mode:
	jmp	*%rax

	.balign	8
gdt:
	.quad	0
	.quad	0x00cf9b000000ffff		/* CODE32: flat */
	.quad	0x00af9b000000ffff		/* CODE64: L bit set */
	.quad	0x00cf93000000ffff		/* DATA: flat */
gdt_pointer:
	.word	. - gdt - 1
	.long	gdt
entries:
	.byte	0

	/* Filled in by the tool: see boot_sector() in `machine`. */
	.org	start + 0x1b0
entry:	.long	0				/* the kernel's 64-bit entry */
extents:
	.fill	9, 8, 0				/* (address, chunks); the last is zero */

	.org	start + 0x1fe
	.word	0xaa55
