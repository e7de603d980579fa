/* SPDX-License-Identifier: GPL-2.0-only */
/* A boot sector whose first instruction can be heard, on the debug console: see start.c */
	.code16
	.text
	out	%al, $0xe9
1:	hlt
	jmp	1b
	.org	510
	.word	0xaa55
