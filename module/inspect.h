/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Looking into a VM from another process: ioctls of control descriptors (inspect.c). @vm is a
 * struct thv_vm with a reference, @args the ioctl's argument.
 */
#ifndef THV_INSPECT_H
#define THV_INSPECT_H

struct thv_vm;
struct thv_vcpu;

long thv_inspect_nmi(void *vm, void *args);
long thv_inspect_state(void *vm, void *args);
long thv_inspect_translate(void *vm, void *args);
long thv_inspect_memory(void *vm, void *args);
long thv_inspect_fields(void *vm, void *args);

#endif
