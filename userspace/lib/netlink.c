// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink client, on libnl: one request at a time, its answer taken apart into plain structs.
 */
#include "lib/netlink.h"

#include <ctype.h>
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <netlink/errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "lib/device.h"
#include "lib/error.h"

struct netlink {
	struct nl_sock *socket;
	int family;
	int device;		/* shown with each request */
	u64 sequence;		/* of the last event */
	bool overrun;
};

/* ---- words --------------------------------------------------------------- */

#define WORD(name, text) text,

static const char *word(const char *const *words, size_t count, u32 index)
{
	return index < count && words[index] ? words[index] : "unknown";
}

const char *netlink_state(u32 state)
{
	static const char *const words[] = {
		[THV_VM_RUNNING] = "running", [THV_VM_PAUSED] = "paused",
		[THV_VM_STOPPED] = "stopped", [THV_VM_DEAD] = "dead",
	};

	return word(words, ARRAY_SIZE(words), state);
}

const char *netlink_lifecycle(u32 event)
{
	static const char *const words[] = { THV_LIFECYCLES(WORD) };

	return word(words, ARRAY_SIZE(words), event);
}

const char *netlink_activity(u32 activity)
{
	static const char *const words[] = { THV_ACTIVITIES(WORD) };

	return word(words, ARRAY_SIZE(words), activity);
}

const char *netlink_mp_state(u32 mp_state)
{
	static const char *const words[] = {
		[THV_MP_RUNNING] = "running", [THV_MP_HALTED] = "halted",
		[THV_MP_WAIT_SIPI] = "waiting for a start-up IPI",
	};

	return word(words, ARRAY_SIZE(words), mp_state);
}

const char *netlink_paging(u32 paging)
{
	static const char *const words[] = {
		[THV_PAGING_EPT] = "ept", [THV_PAGING_SHADOW] = "shadow",
	};

	return word(words, ARRAY_SIZE(words), paging);
}

const struct netlink_counter netlink_counters[THV_STATS] = {
#define COUNTER_ROW(name, text) { #name, text },
	THV_COUNTERS(COUNTER_ROW)
};

void netlink_json_counters(struct json *json, const u64 counter[THV_STATS])
{
	u32 i;

	json_open(json, "counters", '{');
	for (i = 0; i < THV_STATS; i++)
		json_number(json, netlink_counters[i].name, counter[i]);
	json_close(json, '}');
}

void netlink_json_cause(struct json *json, const struct netlink_cause *cause)
{
	if (!cause->cause)
		return;
	json_text(json, "cause", cause->text);
	if (cause->by >= 0)
		json_number(json, "by", cause->by);
}

const char *netlink_cause_text(const struct netlink_cause *cause)
{
	static char text[sizeof(cause->text) + 32];

	if (cause->by < 0)
		return cause->text;
	snprintf(text, sizeof(text), "%s, by user %lld", cause->text, cause->by);
	return text;
}

/* ---- messages ------------------------------------------------------------ */

static void copy_text(char *to, size_t size, struct nlattr *attribute)
{
	snprintf(to, size, "%s", attribute ? nla_get_string(attribute) : "");
}

static u64 number(struct nlattr **attributes, int type, u64 otherwise)
{
	struct nlattr *attribute = attributes[type];

	if (!attribute)
		return otherwise;
	return nla_len(attribute) == sizeof(u64) ? nla_get_u64(attribute) : nla_get_u32(attribute);
}

/* By number, so that a module with more counters, or fewer, is read rightly */
static void take_counters(u64 counter[THV_STATS], struct nlattr *nest)
{
	struct nlattr *attribute;
	int rest;

	if (!nest)
		return;
	nla_for_each_nested(attribute, nest, rest)
		if (nla_type(attribute) >= 1 && nla_type(attribute) <= THV_STATS &&
		    nla_len(attribute) == sizeof(u64))
			counter[nla_type(attribute) - 1] = nla_get_u64(attribute);
}

static void take_cause(struct netlink_cause *cause, struct nlattr **attributes)
{
	cause->cause = number(attributes, THV_ATTR_CAUSE, THV_CAUSE_NONE);
	cause->by = number(attributes, THV_ATTR_CAUSE_BY, -1);
	copy_text(cause->text, sizeof(cause->text), attributes[THV_ATTR_CAUSE_TEXT]);
}

static void take_slot(struct netlink_vm *vm, struct nlattr *nest)
{
	struct nlattr *attributes[__THV_SLOT_ATTR_END] = { 0 };

	if (vm->slots == THV_MAX_SLOTS ||
	    nla_parse_nested(attributes, __THV_SLOT_ATTR_END - 1, nest, NULL) < 0)
		return;
	vm->slot[vm->slots++] = (struct netlink_slot){
		.id = number(attributes, THV_SLOT_ATTR_ID, 0),
		.flags = number(attributes, THV_SLOT_ATTR_FLAGS, 0),
		.gpa = number(attributes, THV_SLOT_ATTR_GPA, 0),
		.size = number(attributes, THV_SLOT_ATTR_SIZE, 0),
	};
}

static void take_slots(struct netlink_vm *vm, struct nl_msg *message)
{
	struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(message));
	struct nlattr *attribute;
	int rest;

	nla_for_each_attr(attribute, genlmsg_attrdata(header, 0), genlmsg_attrlen(header, 0), rest)
		if (nla_type(attribute) == THV_ATTR_SLOT)
			take_slot(vm, attribute);
}

static void take_vm(struct netlink_vm *vm, struct nlattr **attributes, struct nl_msg *message)
{
	*vm = (struct netlink_vm){
		.id = number(attributes, THV_ATTR_VM, 0),
		.owner = number(attributes, THV_ATTR_OWNER, 0),
		.state = number(attributes, THV_ATTR_STATE, 0),
		.paging = number(attributes, THV_ATTR_PAGING, 0),
		.flags = number(attributes, THV_ATTR_FLAGS, 0),
		.vcpus = number(attributes, THV_ATTR_VCPUS, 0),
		.pid = number(attributes, THV_ATTR_PID, 0),
		.features = number(attributes, THV_ATTR_FEATURES, 0),
		.resident = number(attributes, THV_ATTR_RESIDENT, 0),
		.time = number(attributes, THV_ATTR_TIME, 0),
	};
	copy_text(vm->name, sizeof(vm->name), attributes[THV_ATTR_NAME]);
	take_cause(&vm->end, attributes);
	take_counters(vm->counter, attributes[THV_ATTR_COUNTERS]);
	take_slots(vm, message);
}

static void take_vcpu(struct netlink_vcpu *vcpu, struct nlattr **attributes)
{
	*vcpu = (struct netlink_vcpu){
		.id = number(attributes, THV_ATTR_VCPU, 0),
		.mp_state = number(attributes, THV_ATTR_MP_STATE, 0),
		.activity = number(attributes, THV_ATTR_ACTIVITY, 0),
		.terminal = number(attributes, THV_ATTR_TERMINAL, 0),
		.cpu = number(attributes, THV_ATTR_CPU, -1),
		.time = number(attributes, THV_ATTR_TIME, 0),
	};
	take_counters(vcpu->counter, attributes[THV_ATTR_COUNTERS]);
}

/* ---- asking -------------------------------------------------------------- */

static const struct device_sentence sentences[] = {
	{ ENOENT, "there is no such VM; `thv list` shows those there are" },
	{ EPERM, "not permitted: it is another user's VM; ask its owner, or use root" },
	{ EACCES, "not permitted; become a member of group thv: `usermod -aG thv $USER` as root, then log in again" },
	{ EUSERS, "this user has too many listeners; end some `thv events` or `thv wait`" },
	{ EOPNOTSUPP, "the module does not know this request; install module and thv from one build" },
	{ 0 }
};

/* The answer as it is gathered: an array that grows */
struct answer {
	void *rows;
	size_t count, row_size;
	int error;		/* an errno, negative as the kernel says it */
	bool done;
};

static void *next_row(struct answer *answer)
{
	void *rows = realloc(answer->rows, (answer->count + 1) * answer->row_size);

	if (!rows) {
		answer->error = -ENOMEM;
		return NULL;
	}
	answer->rows = rows;
	return rows + answer->count++ * answer->row_size;
}

static int on_message(struct nl_msg *message, void *arg)
{
	struct nlattr *attributes[THV_ATTR_MAX + 1] = { 0 };
	struct genlmsghdr *header = nlmsg_data(nlmsg_hdr(message));
	struct answer *answer = arg;
	void *row = next_row(answer);

	if (!row)
		return NL_STOP;
	genlmsg_parse(nlmsg_hdr(message), 0, attributes, THV_ATTR_MAX, NULL);
	if (header->cmd == THV_CMD_GET_VCPU)
		take_vcpu(row, attributes);
	else
		take_vm(row, attributes, message);
	return NL_OK;
}

static int on_error(struct sockaddr_nl *address, struct nlmsgerr *error, void *arg)
{
	struct answer *answer = arg;

	(void)address;
	answer->error = error->error;
	answer->done = true;
	return NL_STOP;
}

static int on_end(struct nl_msg *message, void *arg)
{
	const struct nlmsghdr *header = nlmsg_hdr(message);
	struct answer *answer = arg;

	/* A dump that failed to begin says so in its end */
	if (header->nlmsg_type == NLMSG_DONE && nlmsg_datalen(header) >= (int)sizeof(int))
		answer->error = *(int *)nlmsg_data(header);
	answer->done = true;
	return NL_STOP;
}

static int receive(struct netlink *netlink, struct answer *answer)
{
	struct nl_cb *callbacks = nl_cb_alloc(NL_CB_DEFAULT);
	int err = 0;

	if (!callbacks)
		return -ENOMEM;
	nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_message, answer);
	nl_cb_set(callbacks, NL_CB_ACK, NL_CB_CUSTOM, on_end, answer);
	nl_cb_set(callbacks, NL_CB_FINISH, NL_CB_CUSTOM, on_end, answer);
	nl_cb_err(callbacks, NL_CB_CUSTOM, on_error, answer);
	while (!answer->done && !answer->error && err >= 0)
		err = nl_recvmsgs(netlink->socket, callbacks);
	nl_cb_put(callbacks);
	return answer->error ? answer->error : answer->done ? 0 : -EIO;
}

static struct nl_msg *request(struct netlink *netlink, u8 command, int flags)
{
	struct nl_msg *message = nlmsg_alloc();

	if (!message)
		return NULL;
	genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, netlink->family, 0, flags, command,
		    THV_GENL_VERSION);
	nla_put_u32(message, THV_ATTR_DEVICE, netlink->device);
	return message;
}

/* Send it and hear the answer; @message is freed. 0, or -1 with a text that begins with @what */
static int ask(struct netlink *netlink, struct nl_msg *message, const char *what,
	       struct answer *answer)
{
	int err;

	if (!message)
		return error_set("%s: out of memory", what);
	err = nl_send_auto(netlink->socket, message);
	nlmsg_free(message);
	if (err < 0)
		return error_set("%s: netlink: %s", what, nl_geterror(err));
	err = receive(netlink, answer);
	if (!err)
		return 0;
	free(answer->rows);
	answer->rows = NULL;
	return device_explain(-err, what, sentences);
}

int netlink_vms(struct netlink *netlink, struct netlink_vm **vms)
{
	struct answer answer = { .row_size = sizeof(**vms) };

	if (ask(netlink, request(netlink, THV_CMD_GET_VM, NLM_F_DUMP), "listing the VMs", &answer))
		return -1;
	*vms = answer.rows;
	return answer.count;
}

/* "VM 7", for errors */
static const char *label(u32 vm)
{
	static char text[24];

	snprintf(text, sizeof(text), "VM %u", vm);
	return text;
}

int netlink_vcpus(struct netlink *netlink, u32 vm, struct netlink_vcpu **vcpus)
{
	struct answer answer = { .row_size = sizeof(**vcpus) };
	struct nl_msg *message = request(netlink, THV_CMD_GET_VCPU, NLM_F_DUMP);

	if (message)
		nla_put_u32(message, THV_ATTR_VM, vm);
	if (ask(netlink, message, label(vm), &answer))
		return -1;
	*vcpus = answer.rows;
	return answer.count;
}

int netlink_vm(struct netlink *netlink, u32 id, struct netlink_vm *vm)
{
	struct answer answer = { .row_size = sizeof(*vm) };
	struct nl_msg *message = request(netlink, THV_CMD_GET_VM, NLM_F_ACK);

	if (message)
		nla_put_u32(message, THV_ATTR_VM, id);
	if (ask(netlink, message, label(id), &answer))
		return -1;
	*vm = *(struct netlink_vm *)answer.rows;
	free(answer.rows);
	return 0;
}

/* ---- finding ------------------------------------------------------------- */

static int ambiguous(const char *name, const struct netlink_vm *vms, int count)
{
	char numbers[400] = "";
	size_t n = 0;
	int i;

	for (i = 0; i < count; i++)
		if (!strcmp(vms[i].name, name) && n < sizeof(numbers))
			n += snprintf(numbers + n, sizeof(numbers) - n, "%s%u", n ? ", " : "",
				      vms[i].id);
	return error_set("%s: several VMs have this name; give a number: %s", name, numbers);
}

static int find_name(struct netlink *netlink, const char *name, u32 *id)
{
	struct netlink_vm *vms;
	int count = netlink_vms(netlink, &vms), found = 0, i, result;

	if (count < 0)
		return -1;
	for (i = 0; i < count; i++)
		if (!strcmp(vms[i].name, name)) {
			*id = vms[i].id;
			found++;
		}
	result = found == 1 ? 0 : found ? ambiguous(name, vms, count) :
		 error_set("%s: no VM that you may see has this name; `thv list` shows those there are",
			   name);
	free(vms);
	return result;
}

int netlink_find(struct netlink *netlink, const char *vm, u32 *id)
{
	unsigned long value;
	char *end;

	if (!isdigit((unsigned char)*vm))
		return find_name(netlink, vm, id);
	errno = 0;
	value = strtoul(vm, &end, 10);
	if (*end)
		return find_name(netlink, vm, id);
	if (errno || value > INT32_MAX)
		return error_set("%s: there is no such VM; `thv list` shows those there are", vm);
	*id = value;
	return 0;
}

/* ---- listening ----------------------------------------------------------- */

int netlink_listen(struct netlink *netlink, u32 vm)
{
	struct nl_msg *message = request(netlink, THV_CMD_SUBSCRIBE, NLM_F_ACK);
	struct answer answer = { .row_size = sizeof(struct netlink_vm) };

	if (message) {
		nla_put_u32(message, THV_ATTR_GROUP, THV_GROUP_LIFECYCLE);
		if (vm)
			nla_put_u32(message, THV_ATTR_VM, vm);
	}
	if (ask(netlink, message, vm ? label(vm) : "listening", &answer))
		return -1;
	free(answer.rows);	/* an event that came before the answer: cannot be */
	nl_socket_disable_seq_check(netlink->socket);
	return 0;
}

static void take_event(struct netlink *netlink, struct netlink_event *event,
		       struct nlattr **attributes)
{
	u64 sequence = number(attributes, THV_ATTR_SEQUENCE, netlink->sequence + 1);

	*event = (struct netlink_event){
		.event = number(attributes, THV_ATTR_EVENT, 0),
		.vm = number(attributes, THV_ATTR_VM, 0),
		.state = number(attributes, THV_ATTR_STATE, 0),
		.vcpu = number(attributes, THV_ATTR_VCPU, -1),
		.time = number(attributes, THV_ATTR_TIME, 0),
		.missed = sequence - netlink->sequence - 1,
	};
	netlink->sequence = sequence;
	take_cause(&event->cause, attributes);
	copy_text(event->name, sizeof(event->name), attributes[THV_ATTR_NAME]);
}

int netlink_next(struct netlink *netlink, struct netlink_event *event, int ms)
{
	struct pollfd poll_fd = { .fd = nl_socket_get_fd(netlink->socket), .events = POLLIN };
	struct nlattr *attributes[THV_ATTR_MAX + 1] = { 0 };
	struct sockaddr_nl from;
	unsigned char *data = NULL;
	int size;

	if (poll(&poll_fd, 1, ms) <= 0)
		return 0;
	size = nl_recv(netlink->socket, &from, &data, NULL);
	if (size <= 0) {
		/* libnl's word for ENOBUFS: something was lost */
		netlink->overrun = netlink->overrun || size == -NLE_NOMEM;
		return !size || size == -NLE_NOMEM || size == -NLE_INTR || size == -NLE_AGAIN ? 0 :
		       error_set("listening: netlink: %s", nl_geterror(size));
	}
	genlmsg_parse((struct nlmsghdr *)data, 0, attributes, THV_ATTR_MAX, NULL);
	take_event(netlink, event, attributes);
	free(data);
	return 1;
}

bool netlink_overrun(struct netlink *netlink)
{
	bool overrun = netlink->overrun;

	netlink->overrun = false;
	return overrun;
}

/* ---- connecting ---------------------------------------------------------- */

static int connect_to_family(struct netlink *netlink)
{
	int err;

	netlink->socket = nl_socket_alloc();
	if (!netlink->socket)
		return error_set("netlink: out of memory");
	err = genl_connect(netlink->socket);
	if (err < 0)
		return error_set("netlink: %s", nl_geterror(err));
	netlink->family = genl_ctrl_resolve(netlink->socket, THV_GENL_NAME);
	if (netlink->family < 0)
		return error_set("netlink: the module has no family \"" THV_GENL_NAME
				 "\"; install module and thv from one build");
	return 0;
}

struct netlink *netlink_open(void)
{
	struct netlink *netlink = calloc(1, sizeof(*netlink));

	if (!netlink) {
		error_set("netlink: out of memory");
		return NULL;
	}
	netlink->device = device_open();
	if (netlink->device >= 0 && !connect_to_family(netlink))
		return netlink;
	netlink_close(netlink);
	return NULL;
}

void netlink_close(struct netlink *netlink)
{
	if (netlink->socket)
		nl_socket_free(netlink->socket);
	if (netlink->device >= 0)
		close(netlink->device);
	free(netlink);
}
