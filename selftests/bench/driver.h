/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the benchmark asks of a hypervisor. Each driver answers it straight with the ioctls of its own: thv.c
 * and kvm.c. What fails ends the program with a sentence.
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/types.h>
#include "layout.h"

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;

extern const char driver_name[];

struct vm;
struct vcpu;

#define VM_NO_APICV	(1U << 0)	/* the processor shall not virtualize local APICs */
#define VM_SHADOW	(1U << 1)	/* shadow paging */

/* A VM with @memory at guest-physical 0, and a local APIC for each vCPU; other addresses and all ports read ones */
struct vm *vm_create(void *memory, size_t size, u32 flags);
void vm_close(struct vm *vm);

/* Slot 1: @size bytes at @gpa; called again with the same, it changes whether writes are logged */
void vm_set_memory(struct vm *vm, u64 gpa, void *memory, size_t size, bool log_dirty);
/* Which of its pages have been written, a bit each, since the last time */
void vm_get_dirty(struct vm *vm, void *bitmap, size_t size);

/* A write of four bytes signals the eventfd */
void vm_doorbell_port(struct vm *vm, u16 port, int fd);
/* A write to that address does, of any length */
void vm_doorbell_mmio(struct vm *vm, u64 gpa, int fd);

/* VM exits so far, of this VM or, where there is no other, of all */
u64 vm_exits(struct vm *vm);

/* The interrupt VECTOR, for that vCPU */
void vm_msi(struct vm *vm, u32 vcpu);
/* ... whenever the eventfd is signalled. One of them in a VM */
void vm_irqfd(struct vm *vm, int fd, u32 vcpu);

/* In 64-bit mode; those after the first run as that does, without an INIT */
struct vcpu *vcpu_create(struct vm *vm, u32 id);
void vcpu_close(struct vcpu *vcpu);
/* Go on at @function, with interrupts off and arguments in RDI and RSI */
void vcpu_start(struct vcpu *vcpu, u64 function, u64 rdi, u64 rsi);
/* Run until the guest writes to @port, which is left to be completed by the next run */
void vcpu_run(struct vcpu *vcpu, u16 port);

static inline void vcpu_call(struct vcpu *vcpu, u64 function, u64 rdi, u64 rsi)
{
	vcpu_start(vcpu, function, rdi, rsi);
	vcpu_run(vcpu, PORT_DONE);
}

/* ---- for the drivers, out of bench.c ---- */

void __attribute__((format(printf, 1, 2), noreturn)) fail(const char *format, ...);
/* The result of a system call, which is to be no error */
int must(int result, const char *what);
#define MUST(call) must(call, #call)
/* The registers of a processor that runs a payload */
#define PAYLOAD_CR0	0x80010033UL	/* PG, WP, NE, ET, MP, PE */
#define PAYLOAD_CR4	0x6a0UL		/* OSXMMEXCPT, OSFXSR, PGE, PAE */
#define PAYLOAD_EFER	0x500UL		/* LMA, LME */

#endif
