// SPDX-License-Identifier: GPL-2.0-only
/*
 * The server's life: who connects, when packets are answered, and what vCPUs have to
 * tell. It runs on the main thread, between the other events, and never waits: neither
 * for a vCPU to stop (hold.h tells when all have) nor for gdb to read.
 */
#include "gdb/gdb.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gdb/server.h"
#include "lib/device.h"
#include "lib/error.h"
#include "vmm/hold.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

#define REINJECT_BP	0x603	/* THV_STATE_EVENTS: software exception, #BP */

/* ---- on the vCPUs' threads ----------------------------------------------- */

static void stop_with(struct vcpu *vcpu, const struct gdb_event *event)
{
	struct gdb *gdb = vcpu->machine->gdb;

	pthread_mutex_lock(&gdb->lock);
	gdb->events[vcpu->id] = *event;
	pthread_mutex_unlock(&gdb->lock);
	hold_all(vcpu->machine);
}

/* An INT3 that no debugger has put there: the guest gets its #BP */
static void give_back(struct vcpu *vcpu)
{
	struct thv_event_state events;

	if (vcpu_get(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events)) < 0)
		return;
	events.flags |= THV_EVENT_REINJECT;
	events.reinject = REINJECT_BP;
	events.reinject_length = vcpu->run->instruction_length;
	vcpu_set(vcpu->fd, THV_STATE_EVENTS, &events, sizeof(events));
}

void gdb_debug_exit(struct vcpu *vcpu)
{
	struct thv_exit_debug debug = vcpu->run->debug;
	struct gdb_event event = { GDB_DEBUG, .vector = debug.vector, .dr6 = debug.dr6 };

	if (debug.vector == 3 && !gdb_own_breakpoint(vcpu->machine->gdb, vcpu))
		give_back(vcpu);
	else
		stop_with(vcpu, &event);
}

void gdb_fatal(struct vcpu *vcpu, bool shutdown, const char *sentence)
{
	struct gdb *gdb = vcpu->machine->gdb;
	struct gdb_event event = {
		GDB_FATAL, .signal = shutdown ? GDB_SIGNAL_SEGV : GDB_SIGNAL_ABRT,
	};

	if (!gdb || !atomic_load(&gdb->attached))
		return;
	pthread_mutex_lock(&gdb->lock);
	snprintf(gdb->sentence, sizeof(gdb->sentence), "vCPU %u: %s\n", vcpu->id, sentence);
	pthread_mutex_unlock(&gdb->lock);
	stop_with(vcpu, &event);
	hold_here(vcpu);
}

/* ---- the client ---------------------------------------------------------- */

static void release_all(struct gdb *gdb)
{
	bool go[GDB_VCPUS];

	memset(go, true, sizeof(go));
	gdb->held = false;
	hold_release(gdb->machine, go);
}

/* The client has gone and all vCPUs are held: as if it had never been there */
static void drop_client(struct gdb *gdb)
{
	int fd = gdb->client.fd;

	gdb_disarm(gdb);
	gdb_session_end(&gdb->session);
	events_remove(&gdb->machine->events, &gdb->client);
	gdb->client.fd = -1;
	close(fd);
	gdb->begun = false;
	gdb->leaving = false;
	gdb->in_length = 0;
	gdb->in_taken = 0;
	gdb->out_length = 0;
	gdb->out_sent = 0;
	release_all(gdb);
	events_again(&gdb->machine->events, &gdb->listener);
}

static void leave(struct gdb *gdb)
{
	if (gdb->leaving)
		return;
	gdb->leaving = true;
	atomic_store(&gdb->attached, false);
	if (gdb->held)
		drop_client(gdb);
	else
		hold_all(gdb->machine);
}

/* False: not all of it can go now, or the client has gone */
static bool flush(struct gdb *gdb)
{
	ssize_t sent;

	while (gdb->out_sent < gdb->out_length) {
		sent = send(gdb->client.fd, gdb->out + gdb->out_sent,
			    gdb->out_length - gdb->out_sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0)
			gdb->out_sent += sent;
		else if (errno != EINTR)
			break;
	}
	if (gdb->out_sent == gdb->out_length) {
		gdb->out_sent = 0;
		gdb->out_length = 0;
		return true;
	}
	if (errno != EAGAIN)
		leave(gdb);
	return false;
}

/* False: there is nothing now, or the client has gone */
static bool fill(struct gdb *gdb)
{
	ssize_t got;

	do {
		got = recv(gdb->client.fd, gdb->in, sizeof(gdb->in), MSG_DONTWAIT);
	} while (got < 0 && errno == EINTR);
	gdb->in_taken = 0;
	gdb->in_length = got > 0 ? got : 0;
	if (!got || (got < 0 && errno != EAGAIN))
		leave(gdb);
	return got > 0;
}

/* While all are held packets are answered; while the guest runs an interrupt is listened for. */
static bool may_serve(const struct gdb *gdb)
{
	return gdb->client.fd >= 0 && gdb->begun && !gdb->leaving &&
	       (gdb->held || gdb->session.running);
}

static void serve(struct gdb *gdb)
{
	while (may_serve(gdb) && flush(gdb)) {
		if (gdb->session.over) {
			leave(gdb);
			return;
		}
		if (gdb->in_taken == gdb->in_length && !fill(gdb))
			return;
		gdb->in_taken += gdb_session_take(&gdb->session, gdb->in + gdb->in_taken,
						  gdb->in_length - gdb->in_taken, gdb->out,
						  &gdb->out_length);
	}
}

/* A hang-up is seen even while nothing can be answered */
static void client_ready(void *opaque, u32 events)
{
	struct gdb *gdb = opaque;

	if (events & (EPOLLHUP | EPOLLERR))
		leave(gdb);
	else
		serve(gdb);
}

static void begin(struct gdb *gdb)
{
	static const struct gdb_stop stop = { .vcpu = 0, .signal = GDB_SIGNAL_TRAP };

	gdb->begun = true;
	if (gdb_session_begin(&gdb->session, &gdb->target, gdb, &stop))
		leave(gdb);
}

static void accept_client(void *opaque, u32 events)
{
	struct gdb *gdb = opaque;
	int one = 1;

	(void)events;
	if (gdb->client.fd >= 0)	/* it has to wait */
		return;
	gdb->client.fd = accept4(gdb->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (gdb->client.fd < 0)
		return;
	setsockopt(gdb->client.fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (events_add(&gdb->machine->events, &gdb->client)) {
		close(gdb->client.fd);
		gdb->client.fd = -1;
		return;
	}
	atomic_store(&gdb->attached, true);
	hold_all(gdb->machine);
	if (gdb->held)
		begin(gdb);
	serve(gdb);
}

/* ---- all vCPUs are held -------------------------------------------------- */

static void tell_stop(struct gdb *gdb)
{
	struct gdb_stop stop;

	gdb_choose_stop(gdb, &stop);
	if (*gdb->sentence)
		gdb->out_length += gdb_session_say(&gdb->session, gdb->sentence,
						   gdb->out + gdb->out_length);
	*gdb->sentence = 0;
	gdb->out_length += gdb_session_stopped(&gdb->session, &stop, gdb->out + gdb->out_length);
}

static void all_held(void *opaque, u32 events)
{
	struct gdb *gdb = opaque;
	eventfd_t value;

	(void)events;
	if (eventfd_read(gdb->stopped.fd, &value))
		return;
	gdb->held = true;
	if (gdb->leaving) {
		drop_client(gdb);
		return;
	}
	if (gdb->client.fd < 0)		/* --gdb-wait, and nobody has come yet */
		return;
	if (!gdb->begun)
		begin(gdb);
	else if (gdb->session.running)
		tell_stop(gdb);
	serve(gdb);
}

/* ---- life ---------------------------------------------------------------- */

/* The last word, if gdb waits for one and reads it */
static void say_end(struct gdb *gdb)
{
	struct pollfd wait = { .fd = gdb->client.fd, .events = POLLOUT };
	int status = gdb->machine->status;
	int signal = status > END_SIGNAL ? status - END_SIGNAL : 0;

	if (!gdb->begun || !gdb->session.running)
		return;
	if (!gdb->out_length)
		gdb->out_length = gdb_session_ended(&gdb->session, status, signal, gdb->out);
	while (!gdb->leaving && !flush(gdb) && poll(&wait, 1, 1000) == 1)
		;
}

static void finish(void *opaque)
{
	struct gdb *gdb = opaque;

	if (gdb->client.fd >= 0) {
		gdb->held = false;
		say_end(gdb);
		gdb_session_end(&gdb->session);
		close(gdb->client.fd);
	}
	close(gdb->listener.fd);
	free(gdb);
}

static struct event_source source(struct gdb *gdb, int fd, u32 mask,
				  void (*ready)(void *opaque, u32 events))
{
	return (struct event_source){
		.fd = fd, .mask = mask, .ready = ready, .opaque = gdb, .stand_in = -1,
	};
}

static int start(struct gdb *gdb, struct machine *machine)
{
	gdb->machine = machine;
	pthread_mutex_init(&gdb->lock, NULL);
	gdb->target = gdb_target_operations;
	gdb->target.vcpus = machine->config->cpus;
	gdb->listener = source(gdb, gdb_listen(machine->config->gdb), EPOLLIN, accept_client);
	gdb->client = source(gdb, -1, EPOLLIN | EPOLLOUT | EPOLLRDHUP, client_ready);
	gdb->stopped = source(gdb, machine->hold.all, EPOLLIN, all_held);
	return gdb->listener.fd < 0 ? -1 : 0;
}

static void wait_for_client(struct machine *machine)
{
	u32 id;

	for (id = 0; id < machine->config->cpus; id++)
		atomic_store(&machine->vcpu[id].hold, true);
	fprintf(stderr, "thv: waiting for gdb at %s\n", machine->config->gdb);
}

int gdb_create(struct machine *machine)
{
	struct gdb *gdb;

	if (!machine->config->gdb)
		return 0;
	gdb = calloc(1, sizeof(*gdb));
	if (!gdb)
		return error_set("out of memory");
	if (start(gdb, machine) || machine_at_end(machine, finish, gdb)) {
		free(gdb);
		return -1;
	}
	machine->gdb = gdb;
	if (machine->config->gdb_wait)
		wait_for_client(machine);
	return events_add(&machine->events, &gdb->stopped) ||
	       events_add(&machine->events, &gdb->listener) ? -1 : 0;
}
