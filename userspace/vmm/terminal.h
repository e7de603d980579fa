/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The user's terminal: raw while a guest has it, and given back on every way
 * out; and the escape key, with which the user speaks to thv instead.
 */
#ifndef THV_VMM_TERMINAL_H
#define THV_VMM_TERMINAL_H

#include "lib/types.h"

#define TERMINAL_KEYS	"Ctrl-A x ends it, Ctrl-A h helps"

/* Make fd raw until terminal_restore(), which any way of ending calls. 0 or -1. */
int terminal_raw(int fd);
void terminal_restore(void);

/* For a stop (Ctrl-Z from outside) and what follows it */
void terminal_suspend(void);
void terminal_resume(void);

enum terminal_key {
	TERMINAL_TEXT,		/* the byte is for the guest */
	TERMINAL_NOTHING,	/* swallowed */
	TERMINAL_END,
	TERMINAL_BREAK,
};

/* What a typed byte means; escaped is the caller's, false at first */
enum terminal_key terminal_key(bool *escaped, u8 byte);

#endif
