// SPDX-License-Identifier: GPL-2.0-only
/*
 * The life of a virtio device on our side: its worker thread, calls onto it, the driver's coming
 * and going, saving and restoring. What the guest sees of it is in transport.c.
 *
 * Locks, in this order: registers (transport.c's: a vCPU holds it while it waits for the worker,
 * so the worker never takes it), call_lock, called_lock; lock. The bus's and MSI-X's are inside of lock.
 */
#include "virtio/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/machine.h"
#include "vmm/state.h"

/* ---- calls onto the worker --------------------------------------------------- */

static void post(struct virtio_device *device, void (*call)(struct virtio_device *, void *),
		 void *opaque)
{
	pthread_mutex_lock(&device->called_lock);
	device->call = call;
	device->call_opaque = opaque;
	eventfd_write(device->call_source.fd, 1);
	while (device->call)
		pthread_cond_wait(&device->called, &device->called_lock);
	pthread_mutex_unlock(&device->called_lock);
}

/* While the caller does the worker's work itself, the worker cannot begin: see work() */
void virtio_call(struct virtio_device *device,
		 void (*call)(struct virtio_device *device, void *opaque), void *opaque)
{
	pthread_mutex_lock(&device->call_lock);
	if (device->has_worker)
		post(device, call, opaque);
	else
		call(device, opaque);
	pthread_mutex_unlock(&device->call_lock);
}

static void take_call(void *opaque, u32 events)
{
	struct virtio_device *device = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(device->call_source.fd, &count);
	pthread_mutex_lock(&device->called_lock);
	if (device->call) {
		device->call(device, device->call_opaque);
		device->call = NULL;
		pthread_cond_signal(&device->called);
	}
	pthread_mutex_unlock(&device->called_lock);
}

static void take_doorbell(void *opaque, u32 events)
{
	struct virtqueue *queue = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(queue->doorbell, &count);
	if (queue->running)
		queue->device->kind->notify(queue->device, queue->index);
}

static void take_written(void *opaque, u32 events)
{
	struct virtio_device *device = opaque;
	eventfd_t count;

	(void)events;
	eventfd_read(device->written_source.fd, &count);
	if (device->running && device->kind->written)
		device->kind->written(device);
}

static void work(void *opaque)
{
	struct virtio_device *device = opaque;

	pthread_mutex_lock(&device->call_lock);
	device->has_worker = true;
	pthread_mutex_unlock(&device->call_lock);
	events_run(&device->events);
}

/* ---- the driver comes and goes (worker) --------------------------------------- */

static void notify_all(struct virtio_device *device)
{
	u32 index;

	for (index = 0; index < device->queues; index++)
		if (device->queue[index].running)
			device->kind->notify(device, index);
}

static int start_queues(struct virtio_device *device)
{
	u32 index;

	for (index = 0; index < device->queues; index++)
		if (device->queue[index].enabled && virtqueue_start(&device->queue[index]))
			return -1;
	return 0;
}

void virtio_start(struct virtio_device *device, void *unused)
{
	(void)unused;
	if (device->running || device->broken || start_queues(device))
		return;
	device->running = true;
	if (device->kind->start && device->kind->start(device)) {
		virtio_broken(device, "%s", error_text());
		return;
	}
	notify_all(device);
}

static void stop(struct virtio_device *device)
{
	u32 index;

	if (device->running && device->kind->stop)
		device->kind->stop(device);
	device->running = false;
	for (index = 0; index < device->queues; index++)
		virtqueue_stop(&device->queue[index]);
}

void virtio_reset(struct virtio_device *device, void *unused)
{
	u32 index;

	(void)unused;
	stop(device);
	device->broken = false;
	device->agreed = 0;
	for (index = 0; index < device->queues; index++)
		virtqueue_reset(&device->queue[index]);
}

/* A guest that breaks its rings again and again does not fill the user's screen */
void virtio_broken(struct virtio_device *device, const char *why, ...)
{
	va_list arguments;
	char text[200];
	u32 index;

	if (device->broken)
		return;
	device->broken = true;
	for (index = 0; index < device->queues; index++)
		virtqueue_stop(&device->queue[index]);
	virtio_needs_reset(device);
	if (device->told)
		return;
	device->told = true;
	va_start(arguments, why);
	vsnprintf(text, sizeof(text), why, arguments);
	va_end(arguments);
	fprintf(stderr, "thv: %s: %s; it waits for a reset by its driver (told once)\r\n",
		device->name, text);
}

/* ---- saved and restored -------------------------------------------------------- */

static const struct state_field device_fields[] = {
	STATE(struct virtio_device, status),
	STATE(struct virtio_device, isr, .maximum = 3),
	STATE(struct virtio_device, generation),
	STATE(struct virtio_device, wanted),
	STATE(struct virtio_device, agreed),
	STATE(struct virtio_device, feature_select),
	STATE(struct virtio_device, selected),
	STATE(struct virtio_device, config_vector),
	{ 0 }
};

static const struct state_field queue_fields[] = {
	STATE(struct virtqueue, size, .maximum = VIRTQUEUE_SIZE),
	STATE(struct virtqueue, vector),
	STATE(struct virtqueue, enabled, .maximum = 1),
	STATE(struct virtqueue, descriptors),
	STATE(struct virtqueue, available),
	STATE(struct virtqueue, used),
	STATE(struct virtqueue, next_available),
	STATE(struct virtqueue, next_used),
	STATE(struct virtqueue, published),
	{ 0 }
};

/* "disk 0/queue 1" */
static const char *record_name(char *text, size_t size, const char *name, const char *what, int index)
{
	int length = snprintf(text, size, "%s/%s", name, what);

	if (index >= 0)
		snprintf(text + length, size - length, " %d", index);
	return text;
}

struct saving {
	const char *name;
	struct state *state;
	int result;
	char error[300];	/* the text belongs to the thread that finds it */
};

static int save_queue(struct virtqueue *queue, const char *name, struct state *state)
{
	if (queue->in_flight)
		return error_set("'%s' still has %u requests in flight: a bug in thv, please report it",
				 name, queue->in_flight);
	state_begin(state, name, 1);
	state_save(state, queue_fields, queue);
	return state_end(state);
}

static int save_parts(struct virtio_device *device, const char *name, struct state *state)
{
	char part[80];
	u32 index;

	pthread_mutex_lock(&device->lock);
	state_begin(state, name, 1);
	state_save(state, device_fields, device);
	state_put_bytes(state, "config", device->config, device->kind->config_size);
	pthread_mutex_unlock(&device->lock);
	if (state_end(state))
		return -1;
	for (index = 0; index < device->queues; index++)
		if (save_queue(&device->queue[index],
			       record_name(part, sizeof(part), name, "queue", index), state))
			return -1;
	if (device->kind->save &&
	    device->kind->save(device, record_name(part, sizeof(part), name, device->kind->name, -1), state))
		return -1;
	return pci_save(&device->function, record_name(part, sizeof(part), name, "pci", -1), state);
}

static void save_on_worker(struct virtio_device *device, void *opaque)
{
	struct saving *saving = opaque;
	bool running = device->running;

	stop(device);
	saving->result = save_parts(device, saving->name, saving->state);
	if (saving->result)
		snprintf(saving->error, sizeof(saving->error), "%s", error_text());
	if (running)
		virtio_start(device, NULL);
}

static int save(void *opaque, const char *name, struct state *state)
{
	struct saving saving = { .name = name, .state = state };

	virtio_call(opaque, save_on_worker, &saving);
	return saving.result ? error_set("%s", saving.error) : 0;
}

static int restore_config(struct virtio_device *device, struct state_record *record)
{
	const void *config;
	size_t size;

	if (state_get_bytes(record, "config", device->kind->config_size, &config, &size))
		return -1;
	if (size != device->kind->config_size)
		return error_set("the state of '%s' has a configuration of %zu bytes, not %u",
				 record->what, size, device->kind->config_size);
	if (size)
		memcpy(device->config, config, size);
	return 0;
}

static int restore_queues(struct virtio_device *device, const char *name, const struct state *state)
{
	struct state_record record;
	char part[80];
	u32 index;

	for (index = 0; index < device->queues; index++) {
		record_name(part, sizeof(part), name, "queue", index);
		if (state_find(state, part, 1, &record) ||
		    state_restore(&record, queue_fields, &device->queue[index]) || state_done(&record))
			return -1;
	}
	return 0;
}

static int restore_parts(struct virtio_device *device, const char *name, const struct state *state)
{
	struct state_record record;
	char part[80];

	if (state_find(state, name, 1, &record) || state_restore(&record, device_fields, device) ||
	    restore_config(device, &record) || state_done(&record))
		return -1;
	if ((device->agreed | device->wanted) & ~virtio_offers(device))
		return error_set("the guest uses features of '%s' that are not there: give the machine the same options",
				 name);
	if (restore_queues(device, name, state))
		return -1;
	if (device->kind->restore &&
	    device->kind->restore(device, record_name(part, sizeof(part), name, device->kind->name, -1), state))
		return -1;
	return pci_restore(&device->function, record_name(part, sizeof(part), name, "pci", -1), state);
}

static void restore_on_worker(struct virtio_device *device, void *opaque)
{
	struct saving *saving = opaque;

	virtio_reset(device, NULL);
	saving->result = restore_parts(device, saving->name, saving->state);
	if (saving->result)
		snprintf(saving->error, sizeof(saving->error), "%s", error_text());
	else if (device->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		device->broken = true;
	else if (device->status & VIRTIO_CONFIG_S_DRIVER_OK)
		virtio_start(device, NULL);
}

static int restore(void *opaque, const char *name, const struct state *state)
{
	struct saving saving = { .name = name, .state = (struct state *)state };

	virtio_call(opaque, restore_on_worker, &saving);
	return saving.result ? error_set("%s", saving.error) : 0;
}

/* ---- building ------------------------------------------------------------------- */

static void stop_for_good(struct virtio_device *device, void *unused)
{
	(void)unused;
	stop(device);
}

static void destroy(void *opaque)
{
	struct virtio_device *device = opaque;
	u32 index;

	virtio_call(device, stop_for_good, NULL);	/* the worker may do what we may not */
	events_stop(&device->events);
	thread_join(&device->worker);
	for (index = 0; index < device->queues; index++)
		close(device->queue[index].doorbell);
	close(device->call_source.fd);
	close(device->written_source.fd);
	events_destroy(&device->events);
	free(device->queue);
}

static int watch(struct virtio_device *device, struct event_source *source,
		 void (*ready)(void *opaque, u32 events), void *opaque)
{
	*source = (struct event_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.mask = EPOLLIN,
		.ready = ready,
		.opaque = opaque,
	};
	if (source->fd < 0)
		return error_errno("an eventfd for %s", device->name);
	return events_add(&device->events, source);
}

static int make_queues(struct virtio_device *device)
{
	struct virtqueue *queue;
	u32 index;

	for (index = 0; index < device->queues; index++) {
		queue = &device->queue[index];
		queue->device = device;
		queue->index = index;
		queue->memory = &device->machine->memory;
		virtqueue_reset(queue);
		if (watch(device, &queue->source, take_doorbell, queue))
			return -1;
		queue->doorbell = queue->source.fd;
	}
	return 0;
}

static void init_locks(struct virtio_device *device)
{
	pthread_mutex_init(&device->registers, NULL);
	pthread_mutex_init(&device->lock, NULL);
	pthread_mutex_init(&device->call_lock, NULL);
	pthread_mutex_init(&device->called_lock, NULL);
	pthread_cond_init(&device->called, NULL);
}

static void name_thread(const struct virtio_device *device, char *name, size_t size)
{
	snprintf(name, size, "thv-%.10s", device->name);
	for (; *name; name++)
		if (*name == ' ')
			*name = '-';
}

int virtio_create(struct virtio_device *device, struct machine *machine)
{
	char name[16];

	device->machine = machine;
	device->queue = calloc(device->queues, sizeof(*device->queue));
	if (!device->queue)
		return error_set("out of memory");
	init_locks(device);
	if (events_create(&device->events) ||
	    watch(device, &device->call_source, take_call, device) ||
	    watch(device, &device->written_source, take_written, device) ||
	    make_queues(device) ||
	    virtio_pci_add(device) ||
	    machine_at_end(machine, destroy, device) ||	/* before the function's interrupts end */
	    state_add(machine, device->name, save, restore, device))
		return -1;
	if (device->network && sandbox_keep_network(&machine->sandbox))
		return -1;
	name_thread(device, name, sizeof(name));
	thread_start(machine, &device->worker, device->network ? THREAD_NETWORK : THREAD_DEVICE, name,
		     work, device);
	return 0;
}
