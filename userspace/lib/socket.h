/* SPDX-License-Identifier: GPL-2.0-only */
/* Sockets in the file system. */
#ifndef THV_LIB_SOCKET_H
#define THV_LIB_SOCKET_H

struct sockaddr_un;

/* Before a bind(): a launcher that was killed leaves its socket; where nobody answers, it goes */
void socket_remove_stale(const struct sockaddr_un *address);

#endif
