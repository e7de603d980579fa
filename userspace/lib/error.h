/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Errors on their way to a person: who finds one describes it with
 * error_set(), returns -1, and so does everybody up to the command, which
 * prints error_text(). The text says the cause, then the remedy. It belongs to
 * the thread.
 */
#ifndef THV_LIB_ERROR_H
#define THV_LIB_ERROR_H

/* Remember the text; always returns -1 */
__attribute__((format(printf, 1, 2)))
int error_set(const char *format, ...);

/* The same, ": " and the sentence for errno appended */
__attribute__((format(printf, 1, 2)))
int error_errno(const char *format, ...);

/* The last text of this thread; never NULL */
const char *error_text(void);

#endif
