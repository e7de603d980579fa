/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of a session share: handlers of packets, and what these need. */
#ifndef THV_GDB_COMMANDS_H
#define THV_GDB_COMMANDS_H

#include "gdb/session.h"

/* Errors: the numbers are errno's, which is what gdb's other stubs tell */
#define GDB_E_IO		"E05"
#define GDB_E_NO_MEMORY		"E12"
#define GDB_E_NOT_MAPPED	"E14"
#define GDB_E_MALFORMED		"E22"
#define GDB_E_NO_ROOM		"E28"

/* Of the machine's, in one packet, at two digits a byte */
#define GDB_MOST_BYTES		((GDB_PACKET - 8) / 2)

void gdb_answer(struct gdb_session *session, const char *text);

/* "-1" (all), "0" (any) or a number; *vcpu is GDB_VCPUS for the first two */
bool gdb_take_thread(struct gdb_session *session, const char **text, u32 *vcpu);

/*
 * Handlers. @text is what follows the packet's word (session.c). Each adds its answer to the reply;
 * one that lets the machine run sets running, and adds nothing.
 */
typedef void gdb_handler(struct gdb_session *session, const char *text);

/* threads.c */
gdb_handler gdb_set_thread, gdb_thread_alive, gdb_current_thread, gdb_thread_info;
gdb_handler gdb_first_threads, gdb_next_threads;

/* state.c */
gdb_handler gdb_read_registers, gdb_write_registers, gdb_read_register, gdb_write_register;
gdb_handler gdb_read_memory, gdb_write_memory, gdb_write_binary;

/* stops.c */
gdb_handler gdb_tell_stop, gdb_insert_breakpoint, gdb_remove_breakpoint;

/* resume.c */
gdb_handler gdb_resume_continue, gdb_resume_continue_signal;
gdb_handler gdb_resume_step, gdb_resume_step_signal, gdb_resume_kinds, gdb_resume_each;

#endif
