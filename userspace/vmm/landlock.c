// SPDX-License-Identifier: GPL-2.0-only
/*
 * Landlock: rules about files, and from its fourth version on about TCP ports and more,
 * that a process without rights gives itself. The C library has no calls for it, and
 * Debian 12's headers end with version 2, so what later versions added stands here.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/error.h"
#include "vmm/sandbox.h"

/* All that a version knows, and so all that is forbidden */
struct ruleset {		/* struct landlock_ruleset_attr, as of version 6 */
	u64 files;
	u64 network;
	u64 scopes;
};

static const struct {
	struct ruleset handled;
	size_t size;		/* of struct ruleset, as this version knows it */
} versions[] = {
	[1] = { { .files = (1 << 13) - 1 }, 8 },
	[2] = { { .files = (1 << 14) - 1 }, 8 },		/* + links to other folders */
	[3] = { { .files = (1 << 15) - 1 }, 8 },		/* + truncate() */
	[4] = { { .files = (1 << 15) - 1, .network = 3 }, 16 },	/* + TCP: bind, connect */
	[5] = { { .files = (1 << 16) - 1, .network = 3 }, 16 },	/* + ioctls of devices */
	[6] = { { .files = (1 << 16) - 1, .network = 3, .scopes = 3 }, 24 },
					/* + abstract sockets and signals to others */
};

int landlock_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
			       LANDLOCK_CREATE_RULESET_VERSION);

	return version > 0 ? version : 0;
}

/* A file that is not there needs no rule */
static int allow_reading(int rules, const char *path)
{
	struct landlock_path_beneath_attr rule = {
		.allowed_access = LANDLOCK_ACCESS_FS_READ_FILE,
		.parent_fd = open(path, O_PATH | O_CLOEXEC),
	};
	int failed;

	if (rule.parent_fd < 0)
		return 0;
	failed = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return failed ? error_errno("sandbox: Landlock does not take %s", path) : 0;
}

static int allow_files(int rules, const struct sandbox_plan *plan)
{
	u32 i;

	for (i = 0; i < plan->count; i++)
		if (allow_reading(rules, plan->files[i]))
			return -1;
	return 0;
}

int landlock_close(const struct sandbox_plan *plan)
{
	int version = landlock_version(), rules, result;
	struct ruleset handled;

	if (!version)
		return 0;
	if (version >= (int)ARRAY_SIZE(versions))
		version = ARRAY_SIZE(versions) - 1;
	handled = versions[version].handled;
	if (plan->network)
		handled.network = 0;
	rules = syscall(SYS_landlock_create_ruleset, &handled, versions[version].size, 0);
	if (rules < 0)
		return error_errno("sandbox: making Landlock rules");
	result = allow_files(rules, plan);
	if (!result && syscall(SYS_landlock_restrict_self, rules, 0))
		result = error_errno("sandbox: Landlock");
	close(rules);
	return result;
}
