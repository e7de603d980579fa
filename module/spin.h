/* SPDX-License-Identifier: GPL-2.0-only */
/* A vCPU that spins gives its turn to one that was pushed off its CPU. */
#ifndef THV_SPIN_H
#define THV_SPIN_H

struct thv_vcpu;

void thv_exit_spin(struct thv_vcpu *vcpu);

#endif
