/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Generic netlink with nothing but sockets, for tests that send what a library would not.
 */
#ifndef THV_SELFTEST_NETLINK_H
#define THV_SELFTEST_NETLINK_H

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <thv_netlink.h>
#include "vm.h"

/* A socket that belongs to no group; the kernel chose its port. What it said last is in text. */
struct nl {
	int fd;
	u32 portid;
	u32 sequence;
	u16 family;
	u32 group;		/* the family's multicast group */
	char text[256];		/* the sentence of the last error; empty: it had none */
};

/* A request in the making */
struct nl_request {
	struct nlmsghdr header;
	struct genlmsghdr genl;
	u8 attributes[512];
};

/* What came: attribute[n] is the first of number n, or NULL. */
struct nl_message {
	struct nlmsghdr *header;
	u8 command;
	const struct nlattr *attribute[__THV_ATTR_END];
};

struct nl *nl_open(void);		/* ends the test if it cannot; -1 in family: no such family */
struct nl *nl_open_port(u32 portid);	/* NULL: taken */
void nl_close(struct nl *nl);
int nl_join(struct nl *nl);		/* the multicast group; 0 or -errno */

void nl_begin(struct nl_request *request, struct nl *nl, u8 command, u16 flags);
void nl_put(struct nl_request *request, u16 type, const void *data, u16 size);
void nl_put_u32(struct nl_request *request, u16 type, u32 value);
void nl_put_device(struct nl_request *request);	/* thv_device() as THV_ATTR_DEVICE */

/*
 * Send and hear the answer out: 0 or the error. Each message of the answer goes to @fn (may be
 * NULL), which counts them or whatever.
 */
typedef void nl_fn(const struct nl_message *message, void *arg);
int nl_ask(struct nl *nl, struct nl_request *request, nl_fn *fn, void *arg);

/* What was sent unasked: 1, a message; 0, nothing within @ms; -errno. Ones of @message stay until the next. */
int nl_listen(struct nl *nl, struct nl_message *message, int ms);

/* A number of 32 or 64 bits. nl_has(): is it there? */
u64 nl_number(const struct nl_message *message, u16 type);
const char *nl_text(const struct nl_message *message, u16 type);
static inline bool nl_has(const struct nl_message *message, u16 type)
{
	return message->attribute[type];
}
/* A nest's attribute; NULL: it has none */
const struct nlattr *nl_nested(const struct nlattr *nest, u16 type);
u64 nl_value(const struct nlattr *attribute);

/* Messages the kernel says it has dropped for want of room */
u32 nl_drops(struct nl *nl);

/* Requests as they are mostly made: 0 or -errno */
int nl_subscribe(struct nl *nl, u32 group, u32 vm, u32 period);	/* 0: none of these */

#endif
