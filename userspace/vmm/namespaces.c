// SPDX-License-Identifier: GPL-2.0-only
/*
 * Namespaces of our own, with nothing in them: no network but a loopback device that is
 * down, no System V objects or POSIX queues, and an empty file system. Descriptors that
 * are open stay what they are: a tap, a listening socket, a disk.
 *
 * Who has CAP_SYS_ADMIN makes them; who has not makes a user namespace first, in which
 * he has it, if the host lets him. Of that namespace only the owner is seen from outside,
 * so other commands of thv and signals find the launcher as before.
 */
#include <sched.h>
#include <sys/mount.h>
#include <unistd.h>

#include "vmm/sandbox.h"

#define ANYWHERE	"/proc"		/* a folder that is there on each host */

/*
 * What is mounted on / hides the root that was, as switch_root does it, which works from an
 * initramfs, too; and without CAP_SYS_CHROOT or a descriptor of a folder no way leads back.
 */
static bool empty_root(void)
{
	return !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
	       !mount("thv", ANYWHERE, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		      "size=4k,mode=0500") &&
	       !chdir(ANYWHERE) &&
	       !mount(".", "/", NULL, MS_MOVE, NULL) &&
	       !chroot(".") &&
	       !chdir("/");
}

bool namespaces_leave(const struct sandbox_plan *plan)
{
	int flags = CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | (plan->network ? 0 : CLONE_NEWNET);

	if (unshare(flags) && unshare(CLONE_NEWUSER | flags))
		return false;
	return plan->count || empty_root();
}
