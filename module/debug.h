/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * THV_DEBUG: 1 in a debug build (make THV_DEBUG=1), where the module checks itself after each
 * step and may be slow. An ordinary if () asks, so that the checks always compile.
 */
#ifndef THV_DEBUG_H
#define THV_DEBUG_H

#ifndef THV_DEBUG
#define THV_DEBUG 0
#endif

/*
 * What must hold if the module is right, whatever a guest or a launcher does: else @vm is
 * killed. Any context; its users include vm.h.
 */
#define thv_assert(vm, cond)						\
	do {								\
		if (THV_DEBUG && !(cond))				\
			thv_vm_kill(vm, __FILE__ ": " #cond);		\
	} while (0)

#endif
