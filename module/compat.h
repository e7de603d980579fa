/* SPDX-License-Identifier: GPL-2.0-only */
/* Every difference between kernel versions, and nothing else. Kbuild finds out which we have. */
#ifndef THV_COMPAT_H
#define THV_COMPAT_H

#include <linux/cpuhotplug.h>
#include <linux/eventfd.h>
#include <linux/mm.h>
#include <linux/syscore_ops.h>
#include <net/genetlink.h>

/* 6.3 moved KVM's place in CPU hotplug from the atomic to the preemptible part. */
#ifdef THV_HAVE_KVM_ONLINE
#define THV_CPUHP_KVM	CPUHP_AP_KVM_ONLINE
#else
#define THV_CPUHP_KVM	CPUHP_AP_KVM_STARTING
#endif

/* 6.19 gave syscore operations an argument; stable kernels took that over. */
#ifdef THV_HAVE_SYSCORE
#define THV_SYSCORE_ARGUMENT	void *data
#define THV_DEFINE_SYSCORE(name, _suspend, _resume)				\
	static const struct syscore_ops name##_ops = {				\
		.suspend = _suspend, .resume = _resume,				\
	};									\
	static struct syscore name = { .ops = &name##_ops }
#else
#define THV_SYSCORE_ARGUMENT	void
#define THV_DEFINE_SYSCORE(name, _suspend, _resume)				\
	static struct syscore_ops name = { .suspend = _suspend, .resume = _resume }
#define register_syscore	register_syscore_ops
#define unregister_syscore	unregister_syscore_ops
#endif

/* 6.8 took the count away: it was always 1. */
static inline void thv_eventfd_signal(struct eventfd_ctx *ctx)
{
#ifdef THV_HAVE_EVENTFD_COUNT
	eventfd_signal(ctx, 1);
#else
	eventfd_signal(ctx);
#endif
}

/* 6.10 took the source away: __string() has told it. */
#ifdef THV_HAVE_ASSIGN_STR_SOURCE
#define thv_assign_str(name, source)	__assign_str(name, source)
#else
#define thv_assign_str(name, source)	__assign_str(name)
#endif

/* 6.7 put a dump's attributes where those of other requests are. */
static inline struct nlattr **thv_dump_attrs(struct netlink_callback *cb)
{
#ifdef THV_HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/* 6.5 no longer tells the area that a page is in. mmap_lock is held. */
static inline long thv_get_remote_page(struct mm_struct *mm, unsigned long hva, unsigned int flags,
				       struct page **page)
{
#ifdef THV_HAVE_GUP_VMAS
	return get_user_pages_remote(mm, hva, 1, flags, page, NULL, NULL);
#else
	return get_user_pages_remote(mm, hva, 1, flags, page, NULL);
#endif
}

/* 6.2 let any signal end a wait for a page that userfaultfd answers, not only a fatal one. */
#ifdef THV_HAVE_FOLL_INTERRUPTIBLE
#define THV_FOLL_INTERRUPTIBLE	FOLL_INTERRUPTIBLE
#else
#define THV_FOLL_INTERRUPTIBLE	0
#endif

#endif
