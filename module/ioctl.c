// SPDX-License-Identifier: GPL-2.0-only
/*
 * How an ioctl's argument gets in and out.
 *
 * An ioctl is known by type, number and direction; the size in its number says how long
 * the caller thinks the struct is. So either side may be the older one: what the
 * caller does not have is zero, what we do not have must be zero (-E2BIG), and what comes back is
 * written to the caller's last byte.
 *
 * The argument is copied in once, before the handler, and out once, after it: no handler touches
 * user memory for it, so none can be shown two values of one field.
 *
 * Descriptors are handed out last of all. Before fd_install() the number means nothing to other
 * threads; after it, one of them may have closed it already, so nothing is touched any more.
 */
#include <linux/bug.h>
#include <linux/fcntl.h>
#include <linux/file.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include "ioctl.h"

static const struct thv_ioctl *find(const struct thv_ioctl *table, size_t count, unsigned int cmd)
{
	const unsigned int size = IOCSIZE_MASK;
	size_t i;

	for (i = 0; i < count; i++)
		if ((table[i].cmd & ~size) == (cmd & ~size))
			return &table[i];
	return NULL;
}

static int copy_in(const struct thv_ioctl *ioctl, void *args, const void __user *user, size_t size)
{
	if (!(_IOC_DIR(ioctl->cmd) & _IOC_WRITE))
		return 0;
	return copy_struct_from_user(args, _IOC_SIZE(ioctl->cmd), user, size);
}

static int copy_out(const struct thv_ioctl *ioctl, const void *args, void __user *user, size_t size)
{
	size_t ours = _IOC_SIZE(ioctl->cmd);

	if (!(_IOC_DIR(ioctl->cmd) & _IOC_READ))
		return 0;
	if (copy_to_user(user, args, min(ours, size)))
		return -EFAULT;
	if (size > ours && clear_user(user + ours, size - ours))
		return -EFAULT;
	return 0;
}

static bool reserved_zero(const struct thv_ioctl *ioctl, const void *args)
{
	return !memchr_inv(args + ioctl->reserved, 0, ioctl->reserved_size);
}

static long handle(const struct thv_ioctl *ioctl, void *object, void *args,
		   void __user *user, size_t size)
{
	long result = ioctl->handler(object, args);

	if (result < 0)
		return result;
	return copy_out(ioctl, args, user, size) ?: result;
}

static long open(const struct thv_ioctl *ioctl, void *object, void *args,
		 void __user *user, size_t size)
{
	int fd = get_unused_fd_flags(O_CLOEXEC);
	struct file *file;
	int err;

	if (fd < 0)
		return fd;
	file = ioctl->open(object, args);
	if (IS_ERR(file)) {
		err = PTR_ERR(file);
		goto no_file;
	}
	err = copy_out(ioctl, args, user, size);
	if (err)
		goto no_copy;
	fd_install(fd, file);
	return fd;

no_copy:
	fput(file);
no_file:
	put_unused_fd(fd);
	return err;
}

/* Kept apart so that THV_RUN, which has no argument, pays nothing for the buffer. */
static noinline long with_args(const struct thv_ioctl *ioctl, void *object,
			       void __user *user, size_t size)
{
	u64 args[THV_IOCTL_MAX / sizeof(u64)];
	int err;

	if (WARN_ON_ONCE(_IOC_SIZE(ioctl->cmd) > sizeof(args)))
		return -ENOTTY;
	memset(args, 0, _IOC_SIZE(ioctl->cmd));
	err = copy_in(ioctl, args, user, size);
	if (err)
		return err;
	if (!reserved_zero(ioctl, args))
		return -EINVAL;
	if (ioctl->open)
		return open(ioctl, object, args, user, size);
	return handle(ioctl, object, args, user, size);
}

/**
 * thv_ioctl - carry out an ioctl.
 * @table: what this kind of descriptor takes.
 * @count: entries of @table.
 * @object: what this descriptor stands for; passed on to the handler.
 * @cmd: as the caller gave it.
 * @arg: likewise.
 *
 * Context: the caller's thread; may sleep.
 * Return: what the handler returns, or a descriptor; -ENOTTY, not in @table; -EFAULT, @arg
 * cannot be read or written; -E2BIG, the caller's struct is longer than ours and its end is
 * not zero; -EINVAL, a reserved field is not zero; -EMFILE or -ENFILE, no descriptor left.
 */
long thv_ioctl(const struct thv_ioctl *table, size_t count, void *object,
	       unsigned int cmd, unsigned long arg)
{
	const struct thv_ioctl *ioctl = find(table, count, cmd);

	if (!ioctl)
		return -ENOTTY;
	if (!_IOC_SIZE(ioctl->cmd))
		return ioctl->handler(object, NULL);
	return with_args(ioctl, object, (void __user *)arg, _IOC_SIZE(cmd));
}
