/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How an ioctl's argument gets in and out: one way for all three kinds of descriptor.
 * A kind has a table of struct thv_ioctl and calls thv_ioctl() with it.
 */
#ifndef THV_IOCTL_H
#define THV_IOCTL_H

#include <linux/stddef.h>
#include <linux/types.h>
#include "../uapi/thv.h"

struct file;

/* The largest argument is a struct thv_vm_stats. */
#define THV_IOCTL_MAX	640

/**
 * struct thv_ioctl - an ioctl of a kind of descriptor.
 * @cmd: its number; direction and size of the argument are in it.
 * @reserved: where in the argument zeros must be, else -EINVAL.
 * @reserved_size: how many.
 * @handler: carries it out. @object is what the descriptor stands for; @args is the
 *	kernel's copy of the argument, all zeros where the ioctl only gives. Returns
 *	what the ioctl returns.
 * @open: instead of @handler, for an ioctl that makes a descriptor: returns the
 *	open file (or an ERR_PTR), which nobody else knows until the number is handed out.
 */
struct thv_ioctl {
	unsigned int cmd;
	u16 reserved;
	u16 reserved_size;
	long (*handler)(void *object, void *args);
	struct file *(*open)(void *object, void *args);
};

#define THV_IOCTL_ZEROS(_type)							\
	.reserved = offsetof(_type, reserved),					\
	.reserved_size = sizeof_field(_type, reserved)

/* An entry, its argument a @_type with a field "reserved" */
#define THV_IOCTL(_cmd, _type, _handler)					\
	{ .cmd = _cmd, THV_IOCTL_ZEROS(_type), .handler = _handler }
/* ... without such a field, or without an argument */
#define THV_IOCTL_PLAIN(_cmd, _handler)						\
	{ .cmd = _cmd, .handler = _handler }
/* ... that makes a descriptor */
#define THV_IOCTL_OPEN(_cmd, _type, _open)					\
	{ .cmd = _cmd, THV_IOCTL_ZEROS(_type), .open = _open }

long thv_ioctl(const struct thv_ioctl *table, size_t count, void *object,
	       unsigned int cmd, unsigned long arg);

/* main.c: has somebody opened /dev/thv with this? */
bool thv_is_device(const struct file *file);

#endif
