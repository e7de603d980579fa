// SPDX-License-Identifier: GPL-2.0-only
/* The sockets of netlink.h. */
#include <linux/sock_diag.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include "netlink.h"

#define BUFFER	(32 << 10)

static __thread u8 buffer[BUFFER] __attribute__((aligned(8)));

/* ---- attributes ---- */

static const struct nlattr *next_attribute(const struct nlattr *attribute)
{
	return (const void *)attribute + NLA_ALIGN(attribute->nla_len);
}

#define for_each_attribute(attribute, start, end)				\
	for (attribute = (const struct nlattr *)(start);			\
	     (const void *)(attribute + 1) <= (const void *)(end);		\
	     attribute = next_attribute(attribute))

static void parse(struct nl_message *message, struct nlmsghdr *header)
{
	const struct genlmsghdr *genl = NLMSG_DATA(header);
	const void *end = (void *)header + header->nlmsg_len;
	const struct nlattr *attribute;
	u16 type;

	memset(message, 0, sizeof(*message));
	message->header = header;
	message->command = genl->cmd;
	for_each_attribute(attribute, genl + 1, end) {
		type = attribute->nla_type & NLA_TYPE_MASK;
		if (type < __THV_ATTR_END && !message->attribute[type])
			message->attribute[type] = attribute;
	}
}

u64 nl_value(const struct nlattr *attribute)
{
	u64 value = 0;
	u32 size = attribute->nla_len - NLA_HDRLEN;

	if (size != 4 && size != 8)
		fail("attribute %u has %u bytes", attribute->nla_type, size);
	memcpy(&value, attribute + 1, size);
	return value;
}

u64 nl_number(const struct nl_message *message, u16 type)
{
	if (!message->attribute[type])
		fail("a message of command %u without attribute %u", message->command, type);
	return nl_value(message->attribute[type]);
}

const char *nl_text(const struct nl_message *message, u16 type)
{
	return message->attribute[type] ? (const char *)(message->attribute[type] + 1) : "";
}

const struct nlattr *nl_nested(const struct nlattr *nest, u16 type)
{
	const struct nlattr *attribute;

	for_each_attribute(attribute, nest + 1, (void *)nest + nest->nla_len)
		if ((attribute->nla_type & NLA_TYPE_MASK) == type)
			return attribute;
	return NULL;
}

/* ---- requests ---- */

void nl_begin(struct nl_request *request, struct nl *nl, u8 command, u16 flags)
{
	memset(request, 0, sizeof(*request));
	request->header = (struct nlmsghdr){
		.nlmsg_len = NLMSG_HDRLEN + GENL_HDRLEN, .nlmsg_type = nl->family,
		.nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = ++nl->sequence,
	};
	request->genl = (struct genlmsghdr){ .cmd = command, .version = THV_GENL_VERSION };
}

void nl_put(struct nl_request *request, u16 type, const void *data, u16 size)
{
	struct nlattr *attribute = (void *)request + NLMSG_ALIGN(request->header.nlmsg_len);

	attribute->nla_type = type;
	attribute->nla_len = NLA_HDRLEN + size;
	memcpy(attribute + 1, data, size);
	request->header.nlmsg_len = (void *)attribute - (void *)request +
				    NLA_ALIGN(attribute->nla_len);
}

void nl_put_u32(struct nl_request *request, u16 type, u32 value)
{
	nl_put(request, type, &value, sizeof(value));
}

void nl_put_device(struct nl_request *request)
{
	nl_put_u32(request, THV_ATTR_DEVICE, thv_device());
}

static ssize_t receive(struct nl *nl, int flags)
{
	ssize_t size = recv(nl->fd, buffer, sizeof(buffer), flags | MSG_TRUNC);

	if (size > (ssize_t)sizeof(buffer))
		fail("a message of %zd bytes", size);
	return size < 0 ? -errno : size;
}

/* An NLMSG_ERROR or NLMSG_DONE: the error, and the sentence after it */
static int take_result(struct nl *nl, const struct nlmsghdr *header)
{
	const struct nlmsgerr *error = NLMSG_DATA(header);
	const void *from = header->nlmsg_type == NLMSG_DONE ? (void *)(&error->error + 1) :
			   (void *)(error + 1);
	const struct nlattr *attribute;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return error->error;
	for_each_attribute(attribute, from, (void *)header + header->nlmsg_len)
		if (attribute->nla_type == NLMSGERR_ATTR_MSG)
			snprintf(nl->text, sizeof(nl->text), "%s", (const char *)(attribute + 1));
	return error->error;
}

/* One datagram; 1: there is more to come */
static int take_answer(struct nl *nl, ssize_t size, nl_fn *fn, void *arg)
{
	struct nlmsghdr *header;
	struct nl_message message;

	for (header = (void *)buffer; NLMSG_OK(header, size); header = NLMSG_NEXT(header, size)) {
		if (header->nlmsg_seq != nl->sequence)
			continue;	/* unasked */
		if (header->nlmsg_type == NLMSG_ERROR || header->nlmsg_type == NLMSG_DONE)
			return take_result(nl, header);
		parse(&message, header);
		if (fn)
			fn(&message, arg);
	}
	return 1;
}

int nl_ask(struct nl *nl, struct nl_request *request, nl_fn *fn, void *arg)
{
	ssize_t size;
	int result;

	nl->text[0] = 0;
	if (!(request->header.nlmsg_flags & NLM_F_DUMP))
		request->header.nlmsg_flags |= NLM_F_ACK;
	if (send(nl->fd, request, request->header.nlmsg_len, 0) < 0)
		return -errno;
	do {
		size = receive(nl, 0);
		result = size < 0 ? size : take_answer(nl, size, fn, arg);
	} while (result == 1);
	return result;
}

int nl_listen(struct nl *nl, struct nl_message *message, int ms)
{
	struct pollfd poll_fd = { .fd = nl->fd, .events = POLLIN };
	ssize_t size;

	if (poll(&poll_fd, 1, ms) <= 0)
		return 0;
	size = receive(nl, MSG_DONTWAIT);
	if (size < 0)
		return size == -EAGAIN ? 0 : size;
	parse(message, (void *)buffer);
	return 1;
}

u32 nl_drops(struct nl *nl)
{
	u32 info[SK_MEMINFO_VARS];
	socklen_t size = sizeof(info);

	if (getsockopt(nl->fd, SOL_SOCKET, SO_MEMINFO, info, &size))
		fail("SO_MEMINFO: %s", strerror(errno));
	return info[SK_MEMINFO_DROPS];
}

/* ---- the family ---- */

static void take_family(const struct nl_message *message, void *arg)
{
	const struct nlattr *groups = NULL, *attribute, *id;
	const void *start = NLMSG_DATA(message->header) + GENL_HDRLEN;
	struct nl *nl = arg;

	for_each_attribute(attribute, start, (void *)message->header + message->header->nlmsg_len) {
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			memcpy(&nl->family, attribute + 1, sizeof(nl->family));
		if ((attribute->nla_type & NLA_TYPE_MASK) == CTRL_ATTR_MCAST_GROUPS)
			groups = attribute;
	}
	/* The first of them; the family has one */
	id = groups ? nl_nested(groups + 1, CTRL_ATTR_MCAST_GRP_ID) : NULL;
	if (id)
		nl->group = nl_value(id);
}

static void find_family(struct nl *nl)
{
	struct nl_request request;

	nl->family = GENL_ID_CTRL;
	nl_begin(&request, nl, CTRL_CMD_GETFAMILY, 0);
	nl_put(&request, CTRL_ATTR_FAMILY_NAME, THV_GENL_NAME, sizeof(THV_GENL_NAME));
	must(nl_ask(nl, &request, take_family, nl));
}

struct nl *nl_open_port(u32 portid)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_pid = portid };
	socklen_t size = sizeof(address);
	struct nl *nl = calloc(1, sizeof(*nl));
	int one = 1;

	nl->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (nl->fd < 0)
		fail("socket: %s", strerror(errno));
	if (bind(nl->fd, (void *)&address, sizeof(address))) {
		close(nl->fd);
		free(nl);
		return NULL;
	}
	getsockname(nl->fd, (void *)&address, &size);
	nl->portid = address.nl_pid;
	if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &one, sizeof(one)) ||
	    setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &one, sizeof(one)))
		fail("setsockopt: %s", strerror(errno));
	find_family(nl);
	return nl;
}

struct nl *nl_open(void)
{
	struct nl *nl = nl_open_port(0);

	if (!nl)
		fail("bind: %s", strerror(errno));
	return nl;
}

void nl_close(struct nl *nl)
{
	close(nl->fd);
	free(nl);
}

int nl_join(struct nl *nl)
{
	return setsockopt(nl->fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &nl->group,
			  sizeof(nl->group)) ? -errno : 0;
}

int nl_subscribe(struct nl *nl, u32 group, u32 vm, u32 period)
{
	struct nl_request request;

	nl_begin(&request, nl, THV_CMD_SUBSCRIBE, 0);
	nl_put_device(&request);
	nl_put_u32(&request, THV_ATTR_GROUP, group);
	if (vm)
		nl_put_u32(&request, THV_ATTR_VM, vm);
	if (period)
		nl_put_u32(&request, THV_ATTR_PERIOD, period);
	return nl_ask(nl, &request, NULL, NULL);
}
