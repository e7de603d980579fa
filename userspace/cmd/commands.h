/* SPDX-License-Identifier: GPL-2.0-only */
/* The commands, one file each in cmd/. A new one is named here and in thv.c. */
#ifndef THV_CMD_COMMANDS_H
#define THV_CMD_COMMANDS_H

#include "lib/options.h"

#define STATUS_ERROR	1	/* the error text says what; main() prints it */

extern const struct command cmd_check, cmd_run, cmd_switch;
extern const struct command cmd_list, cmd_show, cmd_events, cmd_wait;
extern const struct command cmd_pause, cmd_resume, cmd_stop, cmd_kill, cmd_nmi;
extern const struct command cmd_stat, cmd_top, cmd_trace;
extern const struct command cmd_walk, cmd_dump, cmd_mem;

#endif
