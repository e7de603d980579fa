/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Eventfds of a VM (eventfd.c): those that deliver an interrupt when signalled (THV_IRQFD), and
 * those that a guest's write signals (THV_IOEVENTFD, a doorbell), so that neither costs the
 * launcher's vCPU thread an exit.
 */
#ifndef THV_EVENTFD_H
#define THV_EVENTFD_H

#include <linux/types.h>
#include "../uapi/thv.h"

struct thv_vm;

/* Per VM; beyond it -ENOSPC. */
#define THV_MAX_IRQFDS		512
#define THV_MAX_DOORBELLS	128	/* ports, and as many in memory */

/**
 * thv_eventfds_init() - a new VM's: none yet.
 * @vm: sets vm->eventfds.
 *
 * Context: may sleep.
 * Return: 0 or -ENOMEM.
 */
int thv_eventfds_init(struct thv_vm *vm);

/**
 * thv_eventfds_destroy() - undo all of them; nothing is delivered any more when it returns.
 * @vm: the last reference is gone, no vCPU runs, and vCPUs are still there. Also after a failed
 *	init.
 *
 * Context: may sleep.
 */
void thv_eventfds_destroy(struct thv_vm *vm);

/* THV_IRQFD and THV_IOEVENTFD: 0 or the uapi's errnos. Take vm->lock; may sleep. */
int thv_irqfd(struct thv_vm *vm, const struct thv_irqfd *args);
int thv_ioeventfd(struct thv_vm *vm, const struct thv_ioeventfd *args);

/**
 * thv_doorbell_port() - does a guest's OUT ring a doorbell?
 * @vm: the VM.
 * @port: where.
 * @length: 1, 2 or 4.
 * @data: what was written, zero-extended.
 *
 * Context: any; interrupts may be off.
 * Return: it did, the write is done with. (The caller counts.)
 */
bool thv_doorbell_port(struct thv_vm *vm, u16 port, u32 length, u64 data);

/* Are there any? Else nobody need look. Any context. */
bool thv_doorbells_in_memory(struct thv_vm *vm);

/**
 * thv_doorbell_mmio() - does a guest's write to what is no memory ring a doorbell?
 * @vm: the VM.
 * @gpa: of the write's first byte.
 *
 * Context: any; interrupts may be off.
 * Return: it did. (The caller counts, and must skip the instruction.)
 */
bool thv_doorbell_mmio(struct thv_vm *vm, u64 gpa);

#endif
