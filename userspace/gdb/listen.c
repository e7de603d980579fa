// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a debugger connects. Who does so owns the guest, so it is the loopback address
 * unless another is asked for, or a socket in the file system, which has permissions.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "gdb/gdb.h"
#include "gdb/server.h"
#include "lib/error.h"
#include "lib/socket.h"
#include "vmm/tidy.h"

#define UNIX		"unix:"
#define FLAGS		(SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK)
#define WAITING		4	/* debuggers */

/* "[HOST:]PORT" in its parts; a host in brackets may have colons. 0, or -1: it is none. */
static int split(const char *where, char host[256], u16 *port)
{
	const char *colon = strrchr(where, ':'), *text = colon ? colon + 1 : where;
	size_t length = colon ? colon - where : 0;
	char *end;
	unsigned long number = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || !number || number > 65535 || length > 255)
		return -1;
	*port = number;
	if (length >= 2 && where[0] == '[' && where[length - 1] == ']') {
		where++;
		length -= 2;
	}
	memcpy(host, where, length);
	host[length] = 0;
	return 0;
}

static bool is_unix(const char *where)
{
	return !strncmp(where, UNIX, strlen(UNIX));
}

int gdb_check(const char *where)
{
	struct sockaddr_un address;
	char host[256];
	u16 port;

	if (is_unix(where)) {
		where += strlen(UNIX);
		if (*where && strlen(where) < sizeof(address.sun_path))
			return 0;
		return error_set("--gdb: a socket's path has 1 to %zu characters",
				 sizeof(address.sun_path) - 1);
	}
	if (!split(where, host, &port))
		return 0;
	return error_set("--gdb %s: neither " GDB_WHERE ", with a port from 1 to 65535", where);
}

static int listen_at(const struct sockaddr *address, socklen_t size, const char *where)
{
	int fd = socket(address->sa_family, FLAGS, 0), one = 1;

	if (fd < 0)
		return error_errno("making a socket for gdb");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!bind(fd, address, size) && !listen(fd, WAITING))
		return fd;
	error_errno("--gdb %s", where);
	close(fd);
	return -1;
}

static int listen_loopback(u16 port, const char *where)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};

	return listen_at((struct sockaddr *)&address, sizeof(address), where);
}

static int listen_host(const char *host, u16 port, const char *where)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE }, *found;
	char service[8];
	int error, fd;

	snprintf(service, sizeof(service), "%u", port);
	error = getaddrinfo(host, service, &hints, &found);
	if (error)
		return error_set("--gdb %s: %s", where, gai_strerror(error));
	fd = listen_at(found->ai_addr, found->ai_addrlen, where);
	freeaddrinfo(found);
	return fd;
}

static int listen_unix(const char *name, const char *where)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	mode_t mask;
	int fd;

	strcpy(address.sun_path, name);
	socket_remove_stale(&address);
	mask = umask(0077);
	fd = listen_at((struct sockaddr *)&address, sizeof(address), where);
	umask(mask);
	if (fd < 0 || !tidy_remove(name))
		return fd;
	close(fd);
	return -1;
}

int gdb_listen(const char *where)
{
	char host[256];
	u16 port;

	if (gdb_check(where))
		return -1;
	if (is_unix(where))
		return listen_unix(where + strlen(UNIX), where);
	if (split(where, host, &port))
		return -1;
	return *host ? listen_host(host, port, where) : listen_loopback(port, where);
}
