/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Carrying out an instruction for the guest: one that touched what is not RAM, or
 * one of string I/O. The vCPU's thread calls emulate_exit() for such an exit and
 * then runs the guest on; the callbacks tell it apart from any particular machine.
 */
#ifndef _VMM_EMULATE_H
#define _VMM_EMULATE_H

#include <stddef.h>
#include <thv.h>

/**
 * struct emulate_ops - what emulation needs of the machine around it.
 * @translate: guest-linear to guest-physical with the guest's own tables. @access is
 *	THV_ACCESS_*: READ and WRITE together for an operand that is changed in place,
 *	USER at CPL 3. Returns 0 and *@gpa, or 1 when the guest must get #PF with
 *	*@error_code. @gla is canonical.
 * @memory: the host's address of guest RAM [@gpa, @gpa + @len), which is within one
 *	page (and may be the whole page); NULL if it is not RAM, or not writable and @write.
 * @mmio: a device access of @len 1 to 8 bytes, which do not cross a page. Any length
 *	and alignment comes here: that of the guest's instruction, or a part of it
 *	at a page's end.
 * @port: an access of @len 1, 2 or 4 bytes to an I/O port.
 *
 * Reads fill @data. @opaque is emulate_exit()'s. No callback may call emulate_exit().
 */
struct emulate_ops {
	int (*translate)(void *opaque, __u64 gla, __u32 access, __u64 *gpa, __u32 *error_code);
	void *(*memory)(void *opaque, __u64 gpa, __u32 len, int write);
	void (*mmio)(void *opaque, __u64 gpa, void *data, __u32 len, int write);
	void (*port)(void *opaque, __u16 port, void *data, __u32 len, int write);
};

/**
 * struct emulate_fault - the exception the guest must get instead.
 * @vector: 14 #PF, 13 #GP, 12 #SS or 17 #AC.
 * @error_code: pushed if @has_error_code.
 * @address: #PF: what CR2 becomes.
 */
struct emulate_fault {
	__u32 vector, error_code;
	__u64 address;
	int has_error_code;
};

enum emulate_result {
	EMULATE_DONE,		/* run the guest on */
	EMULATE_FAULT,		/* inject *fault; registers, memory and devices are untouched */
	EMULATE_UNKNOWN,	/* not one we know: text says which; nothing is changed */
};

/**
 * emulate_exit() - carry out the instruction the guest has stopped before.
 * @run: its exit is THV_EXIT_MMIO, or THV_EXIT_IO with THV_IO_STRING. Results go to
 *	@run->regs and @run->dirty.
 * @ops: the machine; @opaque is passed on to it.
 * @fault: out, for EMULATE_FAULT.
 * @text: out, for EMULATE_UNKNOWN: a sentence of up to @text_size bytes with its zero.
 *
 * After EMULATE_DONE @run->dirty tells how far it went:
 *
 * - GPRS | RIP | COMPLETED: the instruction is done and RIP is past it;
 * - GPRS | RIP: a repeated string instruction has done some of its elements; RIP is
 *   still at it, and the guest goes on with the rest. With RFLAGS.TF one element is
 *   done and COMPLETED is set too, for each element is followed by a trap;
 * - nothing: the guest shall execute the instruction itself, because it is not the
 *   one that exited (another vCPU rewrote it) or, being locked, found RAM by now.
 *
 * Any thread may call it, each for its own vCPU.
 */
enum emulate_result emulate_exit(struct thv_run *run, const struct emulate_ops *ops,
				 void *opaque, struct emulate_fault *fault,
				 char *text, size_t text_size);

#endif
