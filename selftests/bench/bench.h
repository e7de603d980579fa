/* SPDX-License-Identifier: GPL-2.0-only */
/* Rows, and the guest they are measured with */
#ifndef BENCH_H
#define BENCH_H

#include <pthread.h>
#include "driver.h"
#include "guest_symbols.h"
#include "layout.h"

#define PAGE	0x1000UL

struct guest {
	u32 flags;		/* of its VM */
	void *memory;		/* slot 0 */
	void *fresh;		/* slot 1, and its size */
	size_t fresh_size;
	struct vm *vm;
	struct vcpu *vcpu;
};

/**
 * struct row - one line of the report.
 * @measure: its figure, by a guest that has just been made.
 * @function: the payload's, where there is one.
 */
struct row {
	const char *name;
	const char *title;
	double (*measure)(struct guest *guest, u64 function);
	u64 function;
};

/* Each is ended by a row without a name */
extern const struct row exit_path[], machines[], shadow_paging[], linux_guest[], processors[], devices[];

/* ---- guest.c ---- */

extern u64 most_samples;	/* to take of anything */

struct guest guest_create(u32 flags);
void guest_close(struct guest *guest);
/* Page tables, GDT and IDT into a guest's memory */
void build_guest_tables(void *memory);
/* The host's address of guest-physical @gpa in slot 0 */
void *at(void *memory, u64 gpa);
/* Memory in pages of 4 KiB, so that every bit of work is seen */
void *pages(size_t size);
/* The guest's slot 1 */
/* The least machine there is: one byte on standard output once its guest's first instruction has come to user space */
void start_least(void);

void give_fresh(struct guest *guest, void *memory, size_t size);

u64 *sample(struct guest *guest, u64 function, u64 count, u64 value);
/* Their median; it sorts them */
double middle(u64 *samples, u64 count);
/* Of @count samples, after a few that don't count */
double median(struct guest *guest, u64 function, u64 count);
/* Of a sample for each of @count pages of slot 1 */
double mean(struct guest *guest, u64 function, u64 count);
/* The ticks that taking a sample adds to it */
double overhead(struct guest *guest);

/* ---- threads.c: two CPUs. The first is ours, the second a vCPU's that runs in a thread of its own ---- */

#define INTERRUPTS	201	/* samples */
#define PAUSE		30000	/* ticks between them: long enough for a vCPU to halt, and the host to be done */

struct thread {
	pthread_t pthread;
	struct guest *guest;
	struct vcpu *vcpu;
	u32 id;
	u64 function;
	u64 count, value;	/* for it */
	bool ended;
};

void stay_on(int cpu);
void thread_start(struct thread *thread);
/* Of a function that ends by STOP alone */
void thread_stop(struct thread *thread);
/* From where @send is called to the handler; vCPU 0 is in @function, which ends by STOP */
double from_outside(struct guest *guest, u64 function, void (*send)(void *opaque), void *opaque);

#endif
