/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sockets in the file system outlive who made them, and the launcher in its sandbox
 * cannot remove them any more. A small process does, which is outside of the sandbox and
 * does nothing but wait for the launcher's end, whatever that end is.
 */
#ifndef THV_VMM_TIDY_H
#define THV_VMM_TIDY_H

/*
 * What is at @path now is to be removed in the end, unless it is another file by then.
 * While the machine is built, in the main thread. 0, or -1 with the error text.
 */
int tidy_remove(const char *path);

/* Nothing is taken on from now on: what the launcher says may be the guest's words soon */
void tidy_close(void);

/* The end: returns when all is removed */
void tidy_finish(void);

#endif
