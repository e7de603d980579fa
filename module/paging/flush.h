/* SPDX-License-Identifier: GPL-2.0-only */
/* Flushes, between the rooms they concern: see flush.c. */
#ifndef THV_PAGING_FLUSH_H
#define THV_PAGING_FLUSH_H

#include "table.h"

struct thv_vcpu;

void thv_flush_all(struct thv_tables *tables);
void thv_flush_check(struct thv_tables *tables);
void thv_flush_entering(struct thv_vcpu *vcpu);		/* debug builds: these two */
void thv_flush_left(struct thv_vcpu *vcpu);

#endif
