/* SPDX-License-Identifier: GPL-2.0-only */
/* Who is on a virtual switch, for `thv switch`; the rest is vmm/net.h. */
#ifndef THV_NET_SWITCH_H
#define THV_NET_SWITCH_H

#include <sys/types.h>

#include "vmm/net.h"

/* tell() each member that there is, with its launcher's process. 0, or -1 with the error text. */
int switch_members(const char *name, void (*tell)(void *opaque, const u8 *mac, pid_t pid), void *opaque);

#endif
