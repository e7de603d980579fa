/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Counters, each declared once: name, and what it counts. The enum, thv_vm_stats.counter[],
 * the CLI's table and the documentation are all made from this list. A counter belongs to
 * one vCPU and is written by its thread alone (plain ++); readers may be a little late. Three
 * are the VM's: tables, splits and merges (thv_vm_counters()).
 */
#ifndef THV_STATS_H
#define THV_STATS_H

#define THV_COUNTERS(COUNTER)							\
	COUNTER(exits,		"VM exits")					\
	COUNTER(user_exits,	"exits that went to the launcher")		\
	COUNTER(host_interrupts, "exits because of the host's interrupts")	\
	COUNTER(io,		"port accesses")				\
	COUNTER(mmio,		"memory accesses that are no memory")		\
	COUNTER(doorbells,	"accesses answered by an eventfd")		\
	COUNTER(msr_reads,	"RDMSR exits")					\
	COUNTER(msr_writes,	"WRMSR exits")					\
	COUNTER(msr_unknown,	"accesses to MSRs that are not offered (#GP)")	\
	COUNTER(cpuid,		"CPUID exits")					\
	COUNTER(hypercalls,	"hypercalls")					\
	COUNTER(cr_accesses,	"control-register exits")			\
	COUNTER(dr_accesses,	"debug-register exits")				\
	COUNTER(halts,		"HLT exits")					\
	COUNTER(wakeups,	"times a halted vCPU was woken")		\
	COUNTER(interrupts,	"interrupts delivered by injection")		\
	COUNTER(exceptions,	"exceptions injected")				\
	COUNTER(nmis,		"NMIs injected")				\
	COUNTER(reinjections,	"events delivered again after an exit broke in")	\
	COUNTER(apic_accesses,	"local-APIC accesses that needed the module")	\
	COUNTER(ipis,		"interprocessor interrupts sent")		\
	COUNTER(timers,		"local-APIC timer expiries")			\
	COUNTER(faults,		"second-level faults")				\
	COUNTER(faults_read,	"... of those, for a read")			\
	COUNTER(faults_write,	"... for a write")				\
	COUNTER(faults_fetch,	"... for an instruction fetch")			\
	COUNTER(faults_retried,	"second-level faults that a change of the memory outdated")	\
	COUNTER(faults_refused,	"second-level faults for which the host gave no page")	\
	COUNTER(faults_mapped,	"second-level faults answered with a page")	\
	COUNTER(faults_huge,	"... of those, with a page of 2 MiB or 1 GiB")	\
	COUNTER(faults_around,	"small pages mapped with a neighbour that was answered") \
	COUNTER(faults_unparked, "second-level faults that only told of a page's use") \
	COUNTER(tables,		"tables of the second level, at present")	\
	COUNTER(splits,		"large pages cut into small ones")		\
	COUNTER(merges,		"small pages put together to a large one")	\
	COUNTER(pml_drains,	"times the processor's log of written pages was emptied") \
	COUNTER(pml_pages,	"pages found in that log")			\
	COUNTER(faults_guest,	"page faults of the guest's own, under shadow paging")	\
	COUNTER(shadow_faults,	"page faults, under shadow paging")		\
	COUNTER(shadow_tables,	"shadow tables made")				\
	COUNTER(shadow_writes,	"first writes to guest tables in step")		\
	COUNTER(shadow_syncs,	"flushes of the guest's that shadow tables followed")	\
	COUNTER(flushes,	"TLB flushes done for this vCPU")		\
	COUNTER(flushes_second,	"... of those, of all that EPT translates")	\
	COUNTER(flushes_tag,	"... of all with the vCPU's tag")		\
	COUNTER(flushes_page,	"... of one linear address")			\
	COUNTER(fpu_switches,	"times the guest's FPU state was loaded")	\
	COUNTER(migrations,	"times the vCPU moved to another CPU")		\
	COUNTER(spins,		"times the guest was found waiting in a loop")	\
	COUNTER(turns_given,	"... and gave its turn to a vCPU that waits for a CPU")

enum thv_counter {
#define THV_COUNTER_ENUM(name, text) THV_STAT_##name,
	THV_COUNTERS(THV_COUNTER_ENUM)
#undef THV_COUNTER_ENUM
	THV_STATS
};

#define thv_count(vcpu, name) ((vcpu)->stats[THV_STAT_##name]++)

#endif
