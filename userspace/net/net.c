// SPDX-License-Identifier: GPL-2.0-only
/* What all networks have in common: the option, addresses, and what a frame is. */
#include "vmm/net.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "lib/error.h"

/* ---- addresses ------------------------------------------------------------ */

void net_random_mac(u8 *mac)
{
	if (getrandom(mac, NET_MAC, 0) != NET_MAC)
		abort();	/* never for so few bytes, says getrandom(2) */
	mac[0] = (mac[0] & ~0x01) | 0x02;
}

int net_parse_mac(const char *text, u8 *mac)
{
	int end = 0;

	if (strspn(text, "0123456789abcdefABCDEF:") != 17)
		return -1;
	if (sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%n", &mac[0], &mac[1], &mac[2], &mac[3],
		   &mac[4], &mac[5], &end) != NET_MAC)
		return -1;
	return end == 17 && !text[end] ? 0 : -1;
}

static bool is_zero(const u8 *mac)
{
	static const u8 zero[NET_MAC];

	return !memcmp(mac, zero, NET_MAC);
}

/* ---- the option ----------------------------------------------------------- */

static int option_mac(const struct option_row *row, const char *text, void *field)
{
	u8 *mac = field;

	if (net_parse_mac(text, mac))
		return error_set("--net: %s %s: not an address; write it as in 02:00:5e:10:00:01", row->name,
				 text);
	if (net_is_multicast(mac) || is_zero(mac))
		return error_set("--net: %s %s: this is no station's address; make the first byte even, and not all zero",
				 row->name, text);
	return 0;
}

#define FIELD(member)	.field = offsetof(struct net_config, member)

const struct option_row net_options[] = {
	{ "user", NULL, "through the launcher, without privileges: NAT with DHCP and DNS",
	  option_flag, FIELD(user) },
	{ "tap", "IF", "a tap device of the host", option_text, FIELD(tap) },
	{ "switch", "NAME", "the virtual switch of that name, with other guests of this user",
	  option_text, FIELD(switch_name) },
	{ "mac", "ADDRESS", "the guest's address; without it, one that nobody else has", option_mac, FIELD(mac) },
	{ "hostfwd", "FORWARD",
	  "user: a port of the host that leads to one of the guest, as in tcp:127.0.0.1:2222-:22; may be repeated",
	  option_list, FIELD(forward) },
	{ "loopback", NULL, "user: the guest may reach the host's own 127.0.0.1, as 10.0.2.2",
	  option_flag, FIELD(loopback) },
	{ 0 }
};

static const struct net_backend *backend_of(const struct net_config *config)
{
	if (config->user)
		return &net_user_backend;
	return config->tap ? &net_tap_backend : &net_switch_backend;
}

static int parse(const char *text, struct net_config *config)
{
	*config = (struct net_config){ 0 };
	if (options_parse_words("net", text, net_options, config))
		return -1;
	if (config->user + !!config->tap + !!config->switch_name != 1)
		return error_set("--net %s: plugged into what? Give one of user, tap=IF and switch=NAME", text);
	if (!config->user && (config->forward.count || config->loopback))
		return error_set("--net %s: hostfwd and loopback are for user", text);
	return 0;
}

bool net_connects(const char *text)
{
	struct net_config config;

	return !parse(text, &config) && config.user;
}

/* ---- open to close -------------------------------------------------------- */

struct net *net_open(const char *text, struct events *events, const struct net_user *user,
		     void *opaque)
{
	const struct net_backend *backend;
	struct net_config config;
	struct net *net;

	if (parse(text, &config))
		return NULL;
	backend = backend_of(&config);
	net = calloc(1, backend->size);
	if (!net) {
		error_set("out of memory");
		return NULL;
	}
	*net = (struct net){ backend, events, user, opaque, { 0 } };
	memcpy(net->mac, config.mac, NET_MAC);
	if (is_zero(net->mac))
		net_random_mac(net->mac);
	if (!backend->open(net, &config))
		return net;
	net_close(net);
	return NULL;
}

void net_close(struct net *net)
{
	net->backend->close(net);
	free(net);
}

static bool no_room(void *opaque)
{
	(void)opaque;
	return false;
}

/* One after the other, each open while the rest is tried */
static int check_from(const struct option_list *nets, u32 number, struct events *events)
{
	static const struct net_user nobody = { .room = no_room };
	struct net *net;
	int result;

	if (number == nets->count)
		return 0;
	net = net_open(nets->text[number], events, &nobody, NULL);
	if (!net)
		return -1;
	result = check_from(nets, number + 1, events);
	net_close(net);
	return result;
}

int net_check(const struct option_list *nets)
{
	struct events events;
	int result;

	if (events_create(&events))
		return -1;
	result = check_from(nets, 0, &events);
	events_destroy(&events);
	return result;
}

const u8 *net_mac(const struct net *net)
{
	return net->mac;
}

bool net_send(struct net *net, const struct iovec *parts, int count)
{
	size_t length = 0;
	int i;

	for (i = 0; i < count; i++) {
		if (parts[i].iov_len > NET_FRAME - length)
			return false;
		length += parts[i].iov_len;
	}
	return length >= NET_HEADER && net->backend->send(net, parts, count, length);
}

void net_resume(struct net *net)
{
	net->backend->resume(net);
}
