// SPDX-License-Identifier: GPL-2.0-only
/*
 * For LD_PRELOAD: a launcher whose vCPU is in a state that no processor enters. Before the first THV_RUN, CS
 * gets a privilege that SS does not have, which THV_SET_STATE does not see. No guest gets there by
 * itself: this is how to see what a launcher makes of THV_EXIT_FAIL_ENTRY.
 */
#include <dlfcn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <thv.h>

static int (*real)(int fd, unsigned long cmd, ...);

static void make_impossible(int vcpu)
{
	struct thv_sregs sregs;
	struct thv_state state = {
		.component = THV_STATE_SREGS, .size = sizeof(sregs), .data = (uintptr_t)&sregs,
	};

	if (!real(vcpu, THV_GET_STATE, &state)) {
		sregs.seg[THV_CS].attributes |= THV_SEG_DPL;
		if (!real(vcpu, THV_SET_STATE, &state))
			return;
	}
	perror("refused.so: THV_SET_STATE");
	_Exit(1);
}

int ioctl(int fd, unsigned long cmd, ...)
{
	static int runs;
	va_list arguments;
	void *argument;

	va_start(arguments, cmd);
	argument = va_arg(arguments, void *);
	va_end(arguments);
	if (!real)
		real = dlsym(RTLD_NEXT, "ioctl");
	if (cmd == THV_RUN && !runs++)
		make_impossible(fd);
	return real(fd, cmd, argument);
}
