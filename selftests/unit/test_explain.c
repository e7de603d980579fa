// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of VM entry (module/vmx/explain.c), one by one: states that a processor enters break
 * none, and each rule is broken by the smallest change to one of them, which breaks it alone. A rule
 * that nobody breaks here fails the test.
 */
// sources: module/vmx/explain.c
#include <stdlib.h>
#include <string.h>
#include <linux/bits.h>
#include <linux/kernel.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include <asm/vmx.h>
#include <thv.h>
#include "vmx/explain.h"
#include "tap.h"

#define AT(symbol)	VMX_AT_##symbol
#define NON_CANONICAL	0x0000800000000000ULL
#define BEYOND		BIT_ULL(46)		/* the physical-address width below */
#define LINE		384			/* what vmx_explain() has for one rule */

/* ---- control words of the good states ---- */

#define PIN	(0x16 | PIN_BASED_EXT_INTR_MASK | PIN_BASED_NMI_EXITING | PIN_BASED_VIRTUAL_NMIS)
#define CPU	(0x0401e172 | CPU_BASED_USE_MSR_BITMAPS | CPU_BASED_ACTIVATE_SECONDARY_CONTROLS)
#define CPU2	(SECONDARY_EXEC_ENABLE_EPT | SECONDARY_EXEC_ENABLE_VPID)
#define CPU2_UG	(CPU2 | SECONDARY_EXEC_UNRESTRICTED_GUEST)
#define EXIT	(0x36dff | VM_EXIT_HOST_ADDR_SPACE_SIZE | VM_EXIT_LOAD_IA32_PAT | VM_EXIT_LOAD_IA32_EFER)
#define ENTRY	(0x11ff | VM_ENTRY_LOAD_DEBUG_CONTROLS | VM_ENTRY_LOAD_IA32_PAT | VM_ENTRY_LOAD_IA32_EFER)

#define EXIT_CET	BIT(28)
#define EXIT_PKRS	BIT(29)
#define ENTRY_UINV	BIT(19)
#define ENTRY_CET	BIT(20)
#define ENTRY_PKRS	BIT(22)
#define APICV		(SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY | SECONDARY_EXEC_APIC_REGISTER_VIRT)
#define SUB_PAGE_WRITE	BIT(23)

#define PAT		0x0007040600070406ULL
#define LONG_MODE	(EFER_LME | EFER_LMA)

/* ---- states that a processor enters ---- */

static void segment(struct vmx_state *s, int id, u16 selector, u64 base, u32 limit, u32 rights)
{
	s->field[AT(GUEST_ES_SELECTOR) + id] = selector;
	s->field[AT(GUEST_ES_BASE) + id] = base;
	s->field[AT(GUEST_ES_LIMIT) + id] = limit;
	s->field[AT(GUEST_ES_AR_BYTES) + id] = rights;
}

static void set(struct vmx_state *s, int place, u64 value)
{
	s->field[place] = value;
}

static void processor(struct vmx_state *s)
{
	s->caps = (struct vmx_entry_caps) {
		.pin = { 0x16, 0x7fffffff }, .cpu = { 0x0401e172, 0xfffffffb },
		.cpu2 = { 0, 0x7fffffff }, .exit = { 0x36dff, 0x7fffffff },
		.entry = { 0x11ff, 0x7fffffff },
		.misc = 0x1c0 | 4 << 16,
		.ept_vpid = VMX_EPT_PAGE_WALK_4_BIT | VMX_EPTP_WB_BIT | VMX_EPT_AD_BIT,
		.cr0_fixed0 = 0x80000021, .cr0_fixed1 = 0xffffffff,
		.cr4_fixed0 = X86_CR4_VMXE, .cr4_fixed1 = 0xf77fff,
		.debugctl = 0xdfc3, .perf_global_ctrl = 0x70000000fULL,
		.phys_bits = 46, .linear_bits = 48, .rtm = true, .sgx = true,
	};
}

static void controls(struct vmx_state *s)
{
	set(s, AT(PIN_BASED_VM_EXEC_CONTROL), PIN);
	set(s, AT(CPU_BASED_VM_EXEC_CONTROL), CPU);
	set(s, AT(SECONDARY_VM_EXEC_CONTROL), CPU2);
	set(s, AT(VM_EXIT_CONTROLS), EXIT);
	set(s, AT(VM_ENTRY_CONTROLS), ENTRY);
	set(s, AT(VIRTUAL_PROCESSOR_ID), 1);
	set(s, AT(MSR_BITMAP), 0x10000);
	set(s, AT(EPT_POINTER), 0x11000 | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4 | VMX_EPTP_AD_ENABLE_BIT);
	set(s, AT(TSC_MULTIPLIER), 1);
}

static void host(struct vmx_state *s)
{
	set(s, AT(HOST_CR0), 0x80050033);
	set(s, AT(HOST_CR3), 0x2000);
	set(s, AT(HOST_CR4), X86_CR4_VMXE | X86_CR4_PAE);
	set(s, AT(HOST_IA32_PAT), PAT);
	set(s, AT(HOST_IA32_EFER), LONG_MODE | EFER_SCE | EFER_NX);
	set(s, AT(HOST_CS_SELECTOR), 0x10);
	set(s, AT(HOST_SS_SELECTOR), 0x18);
	set(s, AT(HOST_TR_SELECTOR), 0x40);
	set(s, AT(HOST_GS_BASE), 0xffff888000000000ULL);
	set(s, AT(HOST_RIP), 0xffffffff81000000ULL);
}

static void protected_mode(struct vmx_state *s, u32 code)
{
	static const int data[] = { THV_ES, THV_SS, THV_DS, THV_FS, THV_GS };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(data); i++)
		segment(s, data[i], 0x10, 0, 0xffffffff, 0xc093);
	segment(s, THV_CS, 8, 0, 0xffffffff, code);
	segment(s, THV_TR, 0x20, 0x1800, 0x67, 0x8b);
	segment(s, THV_LDTR, 0, 0, 0, THV_SEG_UNUSABLE);
}

static void good(struct vmx_state *s)
{
	memset(s, 0, sizeof(*s));
	processor(s);
	controls(s);
	host(s);
	set(s, AT(GUEST_CR0), 0x80000031);
	set(s, AT(GUEST_CR3), 0x3000);
	set(s, AT(GUEST_CR4), X86_CR4_VMXE | X86_CR4_PAE);
	set(s, AT(GUEST_DR7), 0x400);
	set(s, AT(GUEST_IA32_PAT), PAT);
	set(s, AT(GUEST_RIP), 0x10000);
	set(s, AT(GUEST_RFLAGS), 2);
	set(s, AT(GUEST_GDTR_LIMIT), 0x7f);
	set(s, AT(GUEST_IDTR_LIMIT), 0xfff);
	set(s, AT(VMCS_LINK_POINTER), ~0ULL);
}

/* 64-bit code */
static void long64(struct vmx_state *s)
{
	good(s);
	protected_mode(s, 0xa09b);
	set(s, AT(VM_ENTRY_CONTROLS), ENTRY | VM_ENTRY_IA32E_MODE);
	set(s, AT(GUEST_IA32_EFER), LONG_MODE);
	set(s, AT(SECONDARY_VM_EXEC_CONTROL), CPU2_UG);
}

/* 32-bit code, PAE paging, without unrestricted guest */
static void prot32(struct vmx_state *s)
{
	good(s);
	protected_mode(s, 0xc09b);
	set(s, AT(GUEST_PDPTR0), 0x4001);
}

/* Real mode after protected mode: CS still data */
static void real(struct vmx_state *s)
{
	int id;

	good(s);
	set(s, AT(SECONDARY_VM_EXEC_CONTROL), CPU2_UG);
	set(s, AT(GUEST_CR0), 0x30);
	set(s, AT(GUEST_CR4), X86_CR4_VMXE);
	for (id = THV_ES; id <= THV_GS; id++)
		segment(s, id, 0x1003, 0x10000, 0xffff, 0x93);
	segment(s, THV_LDTR, 0, 0, 0xffff, 0x82);
	segment(s, THV_TR, 0, 0, 0xffff, 0x8b);
}

static void v8086(struct vmx_state *s)
{
	int id;

	prot32(s);
	set(s, AT(GUEST_RFLAGS), 2 | X86_EFLAGS_VM);
	for (id = THV_ES; id <= THV_GS; id++)
		segment(s, id, 0x1237, 0x12370, 0xffff, 0xf3);
}

/* 64-bit code with all that thv does not use */
static void full(struct vmx_state *s)
{
	long64(s);
	set(s, AT(PIN_BASED_VM_EXEC_CONTROL), PIN | PIN_BASED_POSTED_INTR | PIN_BASED_VMX_PREEMPTION_TIMER);
	set(s, AT(CPU_BASED_VM_EXEC_CONTROL), CPU | CPU_BASED_TPR_SHADOW | CPU_BASED_USE_IO_BITMAPS |
	    CPU_BASED_NMI_WINDOW_EXITING);
	set(s, AT(SECONDARY_VM_EXEC_CONTROL), 0x7fffffff & ~SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE);
	set(s, AT(VM_EXIT_CONTROLS), 0x7fffffff);
	set(s, AT(VM_ENTRY_CONTROLS), 0x7fffffff & ~(VM_ENTRY_SMM | VM_ENTRY_DEACT_DUAL_MONITOR));
	set(s, AT(VM_FUNCTION_CONTROL), VMX_VMFUNC_EPTP_SWITCHING);
	set(s, AT(POSTED_INTR_NV), 0xf2);
	set(s, AT(POSTED_INTR_DESC_ADDR), 0x40);
	set(s, AT(VM_EXIT_MSR_STORE_COUNT), 2);
	set(s, AT(VM_EXIT_MSR_STORE_ADDR), BEYOND - 32);
	set(s, AT(TPR_THRESHOLD), 0x80);
	set(s, AT(CR3_TARGET_COUNT), 4);
	set(s, AT(GUEST_S_CET), 0x400);
	set(s, AT(GUEST_SSP), 0x7000);
	set(s, AT(GUEST_BNDCFGS), 0x5003);
}

static void (* const goods[])(struct vmx_state *s) = { long64, prot32, real, v8086, full };

/* ---- how each rule is broken ---- */

struct change {
	int place;
	u64 value;
};

struct breach {
	const char *says;		/* of the rule */
	void (*from)(struct vmx_state *s);
	const struct change *changes;
	unsigned int count;
	const char *also;		/* another rule, where one goes not without it */
};

#define TO(...)								\
	.changes = (const struct change[]) { __VA_ARGS__ },		\
	.count = sizeof((const struct change[]) { __VA_ARGS__ }) / sizeof(struct change)
#define F(symbol, value)	{ AT(symbol), value }
#define PIN_IS(value)		F(PIN_BASED_VM_EXEC_CONTROL, value)
#define CPU_IS(value)		F(CPU_BASED_VM_EXEC_CONTROL, value)
#define CPU2_IS(value)		F(SECONDARY_VM_EXEC_CONTROL, value)
#define EXIT_IS(value)		F(VM_EXIT_CONTROLS, value)
#define ENTRY_IS(value)		F(VM_ENTRY_CONTROLS, value)
#define EVENT(type, vector)	F(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | (type) << 8 | (vector))
#define WITH_ERROR		INTR_INFO_DELIVER_CODE_MASK

#define EVERY_SEGMENT(id)							\
	{ #id ".P is 0: not present", prot32, TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS & ~THV_SEG_P), USABLE_##id) }, \
	{ #id ".access rights have reserved bits set", prot32,			\
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS | 0x100), USABLE_##id) },	\
	{ #id ".access rights have reserved bits set", prot32,			\
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS | BIT(31)), USABLE_##id) },	\
	{ #id ".limit cannot be: with G = 1 it ends in 0xfff, with G = 0 it is below 1 MiB", prot32, \
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS | THV_SEG_G), F(GUEST_##id##_LIMIT, 0xfffffffe)) }, \
	{ #id ".limit cannot be: with G = 1 it ends in 0xfff, with G = 0 it is below 1 MiB", prot32, \
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS & ~THV_SEG_G), F(GUEST_##id##_LIMIT, 0x100000)) }
#define CODE_OR_DATA(id)							\
	{ #id ".base is not the selector * 16, in virtual-8086 mode", v8086, TO(F(GUEST_##id##_BASE, 0x12371)) }, \
	{ #id ".limit is not 0xffff, in virtual-8086 mode", v8086, TO(F(GUEST_##id##_LIMIT, 0xfffff)) }, \
	{ #id ".access rights are not 0xf3, in virtual-8086 mode", v8086, TO(F(GUEST_##id##_AR_BYTES, 0x93)) }, \
	{ #id ".S is 0: a system segment", prot32, TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS & ~THV_SEG_S)) }, \
	EVERY_SEGMENT(id)
#define DATA(id)								\
	{ #id ".type is not accessed data or accessed, readable code", prot32,	\
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS & ~1U)) },			\
	{ #id ".type is not accessed data or accessed, readable code", prot32,	\
	  TO(F(GUEST_##id##_AR_BYTES, (id##_RIGHTS & ~0xfU) | 9)) },		\
	{ #id ".DPL is below its RPL, without unrestricted guest", prot32,	\
	  TO(F(GUEST_##id##_SELECTOR, 0x13), F(GUEST_##id##_AR_BYTES, id##_RIGHTS | 0x40)) }, \
	CODE_OR_DATA(id)
#define SYSTEM(id)								\
	{ #id ".S is 1: not a system segment", prot32,				\
	  TO(F(GUEST_##id##_AR_BYTES, id##_RIGHTS | THV_SEG_S)) },		\
	{ #id ".TI is 1: a selector into the LDT", prot32,			\
	  TO(F(GUEST_##id##_SELECTOR, 0x24), F(GUEST_##id##_AR_BYTES, id##_RIGHTS)) }, \
	{ #id ".base is not canonical", prot32,					\
	  TO(F(GUEST_##id##_BASE, NON_CANONICAL), F(GUEST_##id##_AR_BYTES, id##_RIGHTS)) }, \
	EVERY_SEGMENT(id)
#define BASE_32(id)								\
	{ #id ".base is beyond 4 GiB", long64, TO(F(GUEST_##id##_BASE, BIT_ULL(32))) }
#define HOST_SELECTOR(id)							\
	{ "the host's " #id " selector has RPL or TI set", prot32, TO(F(HOST_##id##_SELECTOR, 0x14)) }, \
	{ "the host's " #id " selector has RPL or TI set", prot32, TO(F(HOST_##id##_SELECTOR, 0x13)) }
#define HOST_BASE(id)								\
	{ "the host's " #id " base is not canonical", long64, TO(F(HOST_##id##_BASE, NON_CANONICAL)) }

#define CS_RIGHTS	0xc09bU
#define SS_RIGHTS	0xc093U
#define DS_RIGHTS	0xc093U
#define ES_RIGHTS	0xc093U
#define FS_RIGHTS	0xc093U
#define GS_RIGHTS	0xc093U
#define TR_RIGHTS	0x8bU
#define LDTR_RIGHTS	0x82U
/* EVERY_SEGMENT() takes a change more; where there is nothing to do, it does nothing */
#define NO_CHANGE	F(GUEST_RFLAGS, 2)
#define USABLE_CS	NO_CHANGE
#define USABLE_SS	NO_CHANGE
#define USABLE_DS	NO_CHANGE
#define USABLE_ES	NO_CHANGE
#define USABLE_FS	NO_CHANGE
#define USABLE_GS	NO_CHANGE
#define USABLE_TR	NO_CHANGE
#define USABLE_LDTR	F(GUEST_LDTR_LIMIT, 7)

static const struct breach breaches[] = {
	{ "the pin-based controls have bits that this processor does not allow", long64, TO(PIN_IS(PIN & ~2UL)) },
	{ "the pin-based controls have bits that this processor does not allow", long64, TO(PIN_IS(PIN | BIT(31))) },
	{ "the primary processor-based controls have bits that this processor does not allow", long64,
	  TO(CPU_IS(CPU | BIT(2))) },
	{ "the secondary processor-based controls have bits that this processor does not allow", long64,
	  TO(CPU2_IS(CPU2 | BIT(31))) },
	{ "there are more CR3-target values than this processor has", long64, TO(F(CR3_TARGET_COUNT, 5)) },
	{ "I/O bitmap A is not at a page of physical memory", full, TO(F(IO_BITMAP_A, 0x800)) },
	{ "I/O bitmap B is not at a page of physical memory", full, TO(F(IO_BITMAP_B, BEYOND)) },
	{ "the MSR bitmaps are not at a page of physical memory", long64, TO(F(MSR_BITMAP, 1)) },
	{ "the virtual-APIC page is not at a page of physical memory", full, TO(F(VIRTUAL_APIC_PAGE_ADDR, 8)) },
	{ "the TPR threshold is above 15, without virtual-interrupt delivery", long64,
	  TO(CPU_IS(CPU | CPU_BASED_TPR_SHADOW), F(TPR_THRESHOLD, 16)) },
	{ "\"virtual NMIs\" without \"NMI exiting\"", long64, TO(PIN_IS(PIN & ~PIN_BASED_NMI_EXITING)) },
	{ "\"NMI-window exiting\" without \"virtual NMIs\"", long64,
	  TO(PIN_IS(PIN & ~PIN_BASED_VIRTUAL_NMIS), CPU_IS(CPU | CPU_BASED_NMI_WINDOW_EXITING)) },
	{ "the APIC-access page is not at a page of physical memory", full, TO(F(APIC_ACCESS_ADDR, BEYOND)) },
	{ "\"virtualize x2APIC mode\" without \"use TPR shadow\"", long64,
	  TO(CPU2_IS(CPU2 | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE)) },
	{ "\"APIC-register virtualization\" without \"use TPR shadow\"", long64,
	  TO(CPU2_IS(CPU2 | SECONDARY_EXEC_APIC_REGISTER_VIRT)) },
	{ "\"virtual-interrupt delivery\" without \"use TPR shadow\"", long64,
	  TO(CPU2_IS(CPU2 | SECONDARY_EXEC_VIRTUAL_INTR_DELIVERY)) },
	{ "\"virtualize x2APIC mode\" with \"virtualize APIC accesses\"", long64,
	  TO(CPU_IS(CPU | CPU_BASED_TPR_SHADOW), CPU2_IS(CPU2 | SECONDARY_EXEC_VIRTUALIZE_X2APIC_MODE |
							 SECONDARY_EXEC_VIRTUALIZE_APIC_ACCESSES)) },
	{ "\"virtual-interrupt delivery\" without \"external-interrupt exiting\"", long64,
	  TO(PIN_IS(PIN & ~PIN_BASED_EXT_INTR_MASK), CPU_IS(CPU | CPU_BASED_TPR_SHADOW), CPU2_IS(CPU2 | APICV)) },
	{ "\"process posted interrupts\" without \"virtual-interrupt delivery\"", long64,
	  TO(PIN_IS(PIN | PIN_BASED_POSTED_INTR), EXIT_IS(EXIT | VM_EXIT_ACK_INTR_ON_EXIT)) },
	{ "\"process posted interrupts\" without \"acknowledge interrupt on exit\"", full,
	  TO(EXIT_IS(0x7fffffff & ~VM_EXIT_ACK_INTR_ON_EXIT)) },
	{ "the posted-interrupt notification vector is above 255", full, TO(F(POSTED_INTR_NV, 0x1f2)) },
	{ "the posted-interrupt descriptor is not at 64 bytes of physical memory", full,
	  TO(F(POSTED_INTR_DESC_ADDR, 0x20)) },
	{ "\"enable VPID\" with VPID 0", long64, TO(F(VIRTUAL_PROCESSOR_ID, 0)) },
	{ "the EPT pointer's memory type is none this processor has for EPT", long64,
	  TO(F(EPT_POINTER, 0x11000 | VMX_EPTP_MT_UC | VMX_EPTP_PWL_4)) },
	{ "the EPT pointer's page-walk length is none this processor has", long64,
	  TO(F(EPT_POINTER, 0x11000 | VMX_EPTP_MT_WB | VMX_EPTP_PWL_5)) },
	{ "the EPT pointer has reserved bits set", long64,
	  TO(F(EPT_POINTER, 0x11080 | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4)) },
	{ "the EPT pointer has reserved bits set", long64,
	  TO(F(EPT_POINTER, BEYOND | VMX_EPTP_MT_WB | VMX_EPTP_PWL_4)) },
	{ "\"enable PML\" without \"enable EPT\"", prot32, TO(CPU2_IS(SECONDARY_EXEC_ENABLE_PML)) },
	{ "the page-modification log is not at a page of physical memory", full, TO(F(PML_ADDRESS, 2)) },
	{ "\"unrestricted guest\" without \"enable EPT\"", prot32, TO(CPU2_IS(SECONDARY_EXEC_UNRESTRICTED_GUEST)) },
	{ "\"mode-based execute control for EPT\" without \"enable EPT\"", prot32,
	  TO(CPU2_IS(SECONDARY_EXEC_MODE_BASED_EPT_EXEC)) },
	{ "\"sub-page write permissions for EPT\" without \"enable EPT\"", prot32, TO(CPU2_IS(SUB_PAGE_WRITE)) },
	{ "the sub-page-permission table is not at a page of physical memory", full, TO(F(SPP_TABLE_POINTER, 4)) },
	{ "the VM-function controls have reserved bits set", full, TO(F(VM_FUNCTION_CONTROL, 2)) },
	{ "\"EPTP switching\" without \"enable EPT\", or its list is not at a page of physical memory", full,
	  TO(F(EPTP_LIST_ADDRESS, BEYOND)) },
	{ "\"EPTP switching\" without \"enable EPT\", or its list is not at a page of physical memory", prot32,
	  TO(CPU2_IS(SECONDARY_EXEC_ENABLE_VMFUNC), F(VM_FUNCTION_CONTROL, 1)) },
	{ "the VMREAD bitmap is not at a page of physical memory", full, TO(F(VMREAD_BITMAP, 1)) },
	{ "the VMWRITE bitmap is not at a page of physical memory", full, TO(F(VMWRITE_BITMAP, BEYOND)) },
	{ "the virtualization-exception information is not at a page of physical memory", full,
	  TO(F(VE_INFORMATION_ADDRESS, 0x10)) },
	{ "\"Intel PT uses guest physical addresses\" without \"enable EPT\"", prot32,
	  TO(CPU2_IS(SECONDARY_EXEC_PT_USE_GPA), ENTRY_IS(ENTRY | VM_ENTRY_LOAD_IA32_RTIT_CTL),
	     EXIT_IS(EXIT | VM_EXIT_CLEAR_IA32_RTIT_CTL)) },
	{ "\"Intel PT uses guest physical addresses\" without \"load IA32_RTIT_CTL\"", prot32,
	  TO(CPU2_IS(CPU2 | SECONDARY_EXEC_PT_USE_GPA), EXIT_IS(EXIT | VM_EXIT_CLEAR_IA32_RTIT_CTL)) },
	{ "\"Intel PT uses guest physical addresses\" without \"clear IA32_RTIT_CTL\"", prot32,
	  TO(CPU2_IS(CPU2 | SECONDARY_EXEC_PT_USE_GPA), ENTRY_IS(ENTRY | VM_ENTRY_LOAD_IA32_RTIT_CTL)) },
	{ "\"use TSC scaling\" with a multiplier of 0", full, TO(F(TSC_MULTIPLIER, 0)) },

	{ "the VM-exit controls have bits that this processor does not allow", long64, TO(EXIT_IS(EXIT & ~1UL)) },
	{ "\"save VMX-preemption timer value\" without \"activate VMX-preemption timer\"", long64,
	  TO(EXIT_IS(EXIT | VM_EXIT_SAVE_VMX_PREEMPTION_TIMER)) },
	{ "the VM-exit MSR-store area is not at 16 bytes of physical memory", long64,
	  TO(F(VM_EXIT_MSR_STORE_COUNT, 1), F(VM_EXIT_MSR_STORE_ADDR, 8)) },
	{ "the VM-exit MSR-store area is not at 16 bytes of physical memory", full,
	  TO(F(VM_EXIT_MSR_STORE_COUNT, 3)) },
	{ "the VM-exit MSR-load area is not at 16 bytes of physical memory", long64,
	  TO(F(VM_EXIT_MSR_LOAD_COUNT, 1), F(VM_EXIT_MSR_LOAD_ADDR, 8)) },

	{ "the VM-entry controls have bits that this processor does not allow", prot32, TO(ENTRY_IS(ENTRY | BIT(31))) },
	{ "the event to be delivered has a reserved type", prot32, TO(EVENT(1, 0x20)) },
	{ "the event to be delivered has a vector that its type does not allow", prot32, TO(EVENT(2, 3)) },
	{ "the event to be delivered has a vector that its type does not allow", prot32, TO(EVENT(3, 32)) },
	{ "the event to be delivered has a vector that its type does not allow", prot32, TO(EVENT(7, 1)) },
	{ "the event to be delivered has an error code where there is none", prot32, TO(EVENT(3, 6 | WITH_ERROR)) },
	{ "the event to be delivered has an error code where there is none", prot32,
	  TO(EVENT(2, 2 | WITH_ERROR)) },
	{ "the event to be delivered has an error code where there is none", real, TO(EVENT(3, 13 | WITH_ERROR)) },
	{ "the exception to be delivered lacks its error code", prot32, TO(EVENT(3, 13)) },
	{ "the exception to be delivered lacks its error code", prot32, TO(EVENT(3, 21)) },
	{ "the interruption information has reserved bits set", prot32, TO(EVENT(2, 2 | BIT(12))) },
	{ "the error code to be delivered has more than 16 bits", prot32,
	  TO(EVENT(3, 14 | WITH_ERROR), F(VM_ENTRY_EXCEPTION_ERROR_CODE, BIT(16))) },
	{ "the software event's instruction length is not 1 to 15", prot32, TO(EVENT(4, 0x80)) },
	{ "the software event's instruction length is not 1 to 15", prot32,
	  TO(EVENT(6, 3), F(VM_ENTRY_INSTRUCTION_LEN, 16)) },
	{ "the VM-entry MSR-load area is not at 16 bytes of physical memory", long64,
	  TO(F(VM_ENTRY_MSR_LOAD_COUNT, 1), F(VM_ENTRY_MSR_LOAD_ADDR, BEYOND)) },
	{ "\"entry to SMM\" or \"deactivate dual-monitor treatment\" outside SMM", prot32,
	  TO(ENTRY_IS(ENTRY | VM_ENTRY_SMM)) },

	{ "the host's CR0 has bits that VMX operation does not allow", prot32, TO(F(HOST_CR0, 0x80050013)) },
	{ "the host's CR4 has bits that VMX operation does not allow", prot32, TO(F(HOST_CR4, X86_CR4_PAE)) },
	{ "the host's CR4.CET is 1 and its CR0.WP is 0", prot32,
	  TO(F(HOST_CR4, X86_CR4_PAE | X86_CR4_VMXE | X86_CR4_CET), F(HOST_CR0, 0x80040033)) },
	{ "the host's CR3 is beyond the physical-address width", prot32, TO(F(HOST_CR3, BEYOND)) },
	{ "the host's IA32_SYSENTER_ESP is not canonical", prot32, TO(F(HOST_IA32_SYSENTER_ESP, NON_CANONICAL)) },
	{ "the host's IA32_SYSENTER_EIP is not canonical", prot32, TO(F(HOST_IA32_SYSENTER_EIP, BIT_ULL(63))) },
	{ "the host's IA32_PERF_GLOBAL_CTRL has reserved bits set", full, TO(F(HOST_IA32_PERF_GLOBAL_CTRL, BIT(4))) },
	{ "the host's IA32_PAT has an entry that is no memory type", prot32, TO(F(HOST_IA32_PAT, 0x200)) },
	{ "the host's IA32_EFER has reserved bits set", prot32, TO(F(HOST_IA32_EFER, LONG_MODE | BIT(9))) },
	{ "the host's IA32_EFER.LMA and LME are not what \"host address-space size\" is", prot32,
	  TO(F(HOST_IA32_EFER, EFER_LMA)) },
	{ "the host's IA32_S_CET has reserved bits set or is not canonical", full, TO(F(HOST_S_CET, BIT(6))) },
	{ "the host's interrupt-SSP table is not canonical", full, TO(F(HOST_INTR_SSP_TABLE, NON_CANONICAL)) },
	{ "the host's SSP is not a multiple of 4", full, TO(F(HOST_SSP, 2)) },
	{ "the host's SSP is not canonical", full, TO(F(HOST_SSP, NON_CANONICAL)) },
	{ "the host's IA32_PKRS has more than 32 bits", full, TO(F(HOST_IA32_PKRS, BIT_ULL(32))) },
	HOST_SELECTOR(ES), HOST_SELECTOR(CS), HOST_SELECTOR(SS), HOST_SELECTOR(DS), HOST_SELECTOR(FS),
	HOST_SELECTOR(GS), HOST_SELECTOR(TR),
	{ "the host's CS selector is null", prot32, TO(F(HOST_CS_SELECTOR, 0)) },
	{ "the host's TR selector is null", prot32, TO(F(HOST_TR_SELECTOR, 0)) },
	{ "the host's SS selector is null, outside 64-bit mode", prot32,
	  TO(F(HOST_SS_SELECTOR, 0), EXIT_IS(EXIT & ~VM_EXIT_HOST_ADDR_SPACE_SIZE), F(HOST_IA32_EFER, 0)),
	  .also = "\"host address-space size\" is 0 on a host in long mode" },
	HOST_BASE(FS), HOST_BASE(GS), HOST_BASE(TR), HOST_BASE(GDTR), HOST_BASE(IDTR),
	{ "\"host address-space size\" is 0 on a host in long mode", prot32,
	  TO(EXIT_IS(EXIT & ~VM_EXIT_HOST_ADDR_SPACE_SIZE), F(HOST_IA32_EFER, 0)) },
	{ "the host's CR4.PAE is 0 with \"host address-space size\"", prot32, TO(F(HOST_CR4, X86_CR4_VMXE)) },
	{ "the host's RIP is not canonical", prot32, TO(F(HOST_RIP, NON_CANONICAL)) },

	{ "CR0 has bits that VMX operation does not allow", prot32, TO(F(GUEST_CR0, 0x80000011)) },
	{ "CR0 has bits that VMX operation does not allow", prot32, TO(F(GUEST_CR0, 0x31)) },
	{ "CR0 has bits that VMX operation does not allow", long64, TO(F(GUEST_CR0, 0x180000031)) },
	{ "CR0.PG is 1 and CR0.PE is 0", long64, TO(F(GUEST_CR0, 0x80000030)) },
	{ "CR4 has bits that VMX operation does not allow", prot32, TO(F(GUEST_CR4, 0)) },
	{ "CR4 has bits that VMX operation does not allow", prot32, TO(F(GUEST_CR4, X86_CR4_VMXE | BIT(15))) },
	{ "CR4.CET is 1 and CR0.WP is 0", prot32, TO(F(GUEST_CR4, X86_CR4_VMXE | X86_CR4_CET)) },
	{ "IA32_DEBUGCTL has reserved bits set", prot32, TO(F(GUEST_IA32_DEBUGCTL, BIT(3))) },
	{ "\"IA-32e mode guest\" with CR0.PG = 0", long64, TO(F(GUEST_CR0, 0x31)) },
	{ "\"IA-32e mode guest\" with CR4.PAE = 0", long64, TO(F(GUEST_CR4, X86_CR4_VMXE)) },
	{ "CR4.PCIDE is 1 without \"IA-32e mode guest\"", prot32, TO(F(GUEST_CR4, X86_CR4_VMXE | X86_CR4_PCIDE)) },
	{ "CR3 is beyond the physical-address width", prot32, TO(F(GUEST_CR3, BEYOND)) },
	{ "DR7 has more than 32 bits", prot32, TO(F(GUEST_DR7, BIT_ULL(32))) },
	{ "IA32_SYSENTER_ESP is not canonical", prot32, TO(F(GUEST_SYSENTER_ESP, NON_CANONICAL)) },
	{ "IA32_SYSENTER_EIP is not canonical", prot32, TO(F(GUEST_SYSENTER_EIP, NON_CANONICAL)) },
	{ "IA32_PERF_GLOBAL_CTRL has reserved bits set", full, TO(F(GUEST_IA32_PERF_GLOBAL_CTRL, BIT_ULL(35))) },
	{ "IA32_PAT has an entry that is no memory type", prot32, TO(F(GUEST_IA32_PAT, 8)) },
	{ "IA32_PAT has an entry that is no memory type", prot32, TO(F(GUEST_IA32_PAT, 3ULL << 56)) },
	{ "IA32_EFER has reserved bits set", prot32, TO(F(GUEST_IA32_EFER, BIT(12))) },
	{ "IA32_EFER.LMA is not what \"IA-32e mode guest\" is", long64, TO(F(GUEST_IA32_EFER, 0)) },
	{ "IA32_EFER.LMA and LME differ while CR0.PG is 1", prot32, TO(F(GUEST_IA32_EFER, EFER_LME)) },
	{ "IA32_BNDCFGS has reserved bits set or is not canonical", full, TO(F(GUEST_BNDCFGS, 4)) },
	{ "IA32_BNDCFGS has reserved bits set or is not canonical", full, TO(F(GUEST_BNDCFGS, NON_CANONICAL)) },
	{ "the guest's UINV is above 255", full, TO(F(GUEST_UINV, 0x100)) },
	{ "IA32_S_CET has reserved bits set or is not canonical", full, TO(F(GUEST_S_CET, 0xc00)) },
	{ "the interrupt-SSP table is not canonical", full, TO(F(GUEST_INTR_SSP_TABLE, NON_CANONICAL)) },
	{ "IA32_PKRS has more than 32 bits", full, TO(F(GUEST_IA32_PKRS, BIT_ULL(32))) },

	{ "CS.type is not accessed code", prot32, TO(F(GUEST_CS_AR_BYTES, 0xc09a)) },
	{ "CS.type is not accessed code", prot32, TO(F(GUEST_CS_AR_BYTES, 0xc093)) },
	{ "CS.L and CS.D are both 1", long64, TO(F(GUEST_CS_AR_BYTES, 0xe09b)) },
	{ "CS.DPL is not 0 although its type is data, as in real mode", real, TO(F(GUEST_CS_AR_BYTES, 0xf3)) },
	{ "CS.DPL is not SS.DPL although CS is nonconforming code", prot32, TO(F(GUEST_CS_AR_BYTES, 0xc0fb)) },
	{ "CS.DPL is above SS.DPL", prot32, TO(F(GUEST_CS_AR_BYTES, 0xc0ff)) },
	BASE_32(CS),
	CODE_OR_DATA(CS),
	{ "SS.type is not accessed, writable data", prot32, TO(F(GUEST_SS_AR_BYTES, 0xc091)) },
	{ "SS.type is not accessed, writable data", prot32, TO(F(GUEST_SS_AR_BYTES, 0xc09b)) },
	{ "SS.RPL is not CS.RPL, without unrestricted guest", prot32, TO(F(GUEST_CS_SELECTOR, 9)) },
	{ "SS.DPL is not SS.RPL, without unrestricted guest", prot32,
	  TO(F(GUEST_CS_SELECTOR, 9), F(GUEST_SS_SELECTOR, 0x11)) },
	{ "SS.DPL is not 0 in real mode", real, TO(F(GUEST_SS_AR_BYTES, 0xf3)) },
	BASE_32(SS),
	CODE_OR_DATA(SS),
	DATA(DS), BASE_32(DS),
	DATA(ES), BASE_32(ES),
	DATA(FS), { "FS.base is not canonical", long64, TO(F(GUEST_FS_BASE, NON_CANONICAL)) },
	DATA(GS), { "GS.base is not canonical", long64, TO(F(GUEST_GS_BASE, NON_CANONICAL)) },
	{ "TR.type is not a busy TSS (of 32 or 64 bits in IA-32e mode)", long64, TO(F(GUEST_TR_AR_BYTES, 0x83)) },
	{ "TR.type is not a busy TSS (of 32 or 64 bits in IA-32e mode)", prot32, TO(F(GUEST_TR_AR_BYTES, 0x89)) },
	{ "TR.access rights say unusable", prot32, TO(F(GUEST_TR_AR_BYTES, 0x8b | THV_SEG_UNUSABLE)) },
	SYSTEM(TR),
	{ "LDTR.type is not LDT", prot32, TO(F(GUEST_LDTR_AR_BYTES, 0x8b)) },
	SYSTEM(LDTR),

	{ "GDTR.base is not canonical", prot32, TO(F(GUEST_GDTR_BASE, NON_CANONICAL)) },
	{ "IDTR.base is not canonical", prot32, TO(F(GUEST_IDTR_BASE, NON_CANONICAL)) },
	{ "GDTR.limit is above 0xffff", prot32, TO(F(GUEST_GDTR_LIMIT, 0x10000)) },
	{ "IDTR.limit is above 0xffff", prot32, TO(F(GUEST_IDTR_LIMIT, BIT(31))) },

	{ "RIP is beyond 4 GiB outside 64-bit mode", prot32, TO(F(GUEST_RIP, BIT_ULL(32))) },
	{ "RIP is beyond the linear-address width", long64, TO(F(GUEST_RIP, BIT_ULL(48))) },
	{ "RFLAGS has reserved bits set", prot32, TO(F(GUEST_RFLAGS, 0xa)) },
	{ "RFLAGS bit 1 is 0", prot32, TO(F(GUEST_RFLAGS, 0)) },
	{ "RFLAGS.VM is 1 in IA-32e or real mode", v8086,
	  TO(ENTRY_IS(ENTRY | VM_ENTRY_IA32E_MODE), F(GUEST_IA32_EFER, LONG_MODE)) },
	{ "an interrupt is to be delivered although RFLAGS.IF is 0", prot32, TO(EVENT(0, 0x20)) },
	{ "SSP is not a multiple of 4", full, TO(F(GUEST_SSP, 2)) },
	{ "SSP is beyond 4 GiB outside 64-bit mode", prot32,
	  TO(ENTRY_IS(ENTRY | ENTRY_CET), F(GUEST_SSP, BIT_ULL(32))) },
	{ "SSP is beyond the linear-address width", full, TO(F(GUEST_SSP, BIT_ULL(48))) },

	{ "the activity state is none that this processor enters", prot32, TO(F(GUEST_ACTIVITY_STATE, 4)) },
	{ "the activity state is HLT although SS.DPL is not 0", long64,
	  TO(F(GUEST_ACTIVITY_STATE, 1), F(GUEST_SS_AR_BYTES, 0xc0f3), F(GUEST_CS_AR_BYTES, 0xa0fb)) },
	{ "the activity state is not active although STI or MOV SS blocks interrupts", prot32,
	  TO(F(GUEST_ACTIVITY_STATE, 1), F(GUEST_INTERRUPTIBILITY_INFO, 2)) },
	{ "an event is to be delivered that does not end the activity state", prot32,
	  TO(F(GUEST_ACTIVITY_STATE, 1), EVENT(3, 6)) },
	{ "an event is to be delivered that does not end the activity state", prot32,
	  TO(F(GUEST_ACTIVITY_STATE, 2), EVENT(3, 1)) },
	{ "an event is to be delivered that does not end the activity state", prot32,
	  TO(F(GUEST_ACTIVITY_STATE, 3), EVENT(2, 2)) },
	{ "the interruptibility state has reserved bits set", prot32, TO(F(GUEST_INTERRUPTIBILITY_INFO, 0x20)) },
	{ "blocking by STI and by MOV SS at a time", prot32,
	  TO(F(GUEST_INTERRUPTIBILITY_INFO, 3), F(GUEST_RFLAGS, 0x202)) },
	{ "blocking by STI although RFLAGS.IF is 0", prot32, TO(F(GUEST_INTERRUPTIBILITY_INFO, 1)) },
	{ "an interrupt is to be delivered although STI or MOV SS blocks it", prot32,
	  TO(F(GUEST_INTERRUPTIBILITY_INFO, 1), F(GUEST_RFLAGS, 0x202), EVENT(0, 0x20)) },
	{ "an NMI is to be delivered although MOV SS blocks it", prot32,
	  TO(F(GUEST_INTERRUPTIBILITY_INFO, 2), EVENT(2, 2)) },
	{ "blocking by SMI outside SMM", prot32, TO(F(GUEST_INTERRUPTIBILITY_INFO, 4)) },
	{ "an NMI is to be delivered although NMIs are blocked", prot32,
	  TO(F(GUEST_INTERRUPTIBILITY_INFO, 8), EVENT(2, 2)) },
	{ "enclave interruption without SGX or with blocking by MOV SS", prot32,
	  TO(F(GUEST_INTERRUPTIBILITY_INFO, 0x12)) },
	{ "the pending debug exceptions have reserved bits set", prot32, TO(F(GUEST_PENDING_DBG_EXCEPTIONS, 0x10)) },
	{ "the pending debug exceptions have reserved bits set", prot32, TO(F(GUEST_PENDING_DBG_EXCEPTIONS, 0x800)) },
	{ "pending debug exceptions lack BS although RFLAGS.TF is 1 and IA32_DEBUGCTL.BTF 0, in a shadow or HLT", prot32,
	  TO(F(GUEST_RFLAGS, 0x102), F(GUEST_INTERRUPTIBILITY_INFO, 2)) },
	{ "pending debug exceptions have BS although RFLAGS.TF is 0 or IA32_DEBUGCTL.BTF 1, in a shadow or HLT", prot32,
	  TO(F(GUEST_RFLAGS, 0x102), F(GUEST_IA32_DEBUGCTL, 2), F(GUEST_INTERRUPTIBILITY_INFO, 2),
	     F(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)) },
	{ "pending debug exceptions have BS although RFLAGS.TF is 0 or IA32_DEBUGCTL.BTF 1, in a shadow or HLT", prot32,
	  TO(F(GUEST_ACTIVITY_STATE, 1), F(GUEST_PENDING_DBG_EXCEPTIONS, 0x4000)) },
	{ "pending debug exceptions have RTM without TSX, or not with an enabled breakpoint alone", prot32,
	  TO(F(GUEST_PENDING_DBG_EXCEPTIONS, 0x10000)) },
	{ "pending debug exceptions have RTM without TSX, or not with an enabled breakpoint alone", prot32,
	  TO(F(GUEST_PENDING_DBG_EXCEPTIONS, 0x11000), F(GUEST_INTERRUPTIBILITY_INFO, 2)) },
	{ "the VMCS link pointer is neither all ones nor a page of physical memory", prot32,
	  TO(F(VMCS_LINK_POINTER, 0x1001)) },
	{ "PDPTE0 has reserved bits set", prot32, TO(F(GUEST_PDPTR0, 3)) },
	{ "PDPTE1 has reserved bits set", prot32, TO(F(GUEST_PDPTR1, 0x21)) },
	{ "PDPTE2 has reserved bits set", prot32, TO(F(GUEST_PDPTR2, BEYOND | 1)) },
	{ "PDPTE3 has reserved bits set", prot32, TO(F(GUEST_PDPTR3, 0x101)) },
};

/* ---- claims ---- */

static void show(const struct vmx_state *s)
{
	char text[16384];

	if (vmx_explain(s, text, sizeof(text)))
		printf("# %s", text);
}

static void test_good_states(void)
{
	static const char *const names[] = { "64-bit", "32-bit", "real", "virtual-8086", "full" };
	struct vmx_state s;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(goods); i++) {
		goods[i](&s);
		if (!tap_is(vmx_rules_broken(&s), 0, "a good %s state breaks no rule", names[i]))
			show(&s);
	}
}

/* States on the edge of a rule */
static void test_edges(void)
{
	struct vmx_state s;

	long64(&s);
	set(&s, AT(GUEST_RIP), NON_CANONICAL);
	tap_is(vmx_rules_broken(&s), 0, "RIP may be one beyond the lower half: only bits 63:48 are looked at");
	long64(&s);
	set(&s, AT(GUEST_DS_AR_BYTES), 0xffffffff);
	set(&s, AT(GUEST_DS_BASE), ~0ULL);
	tap_is(vmx_rules_broken(&s), 0, "an unusable segment may hold anything");
	long64(&s);
	set(&s, AT(VM_ENTRY_INTR_INFO_FIELD), 0x7fffffff);
	tap_is(vmx_rules_broken(&s), 0, "interruption information that is not valid may hold anything");
	long64(&s);
	set(&s, AT(CPU_BASED_VM_EXEC_CONTROL), CPU & ~CPU_BASED_ACTIVATE_SECONDARY_CONTROLS);
	set(&s, AT(SECONDARY_VM_EXEC_CONTROL), ~0U);
	tap_is(vmx_rules_broken(&s), 0, "secondary controls that are not activated may hold anything");
	long64(&s);
	set(&s, AT(GUEST_PDPTR0), ~0ULL);
	tap_is(vmx_rules_broken(&s), 0, "PDPTEs do not count in IA-32e mode");
	real(&s);
	set(&s, AT(VM_ENTRY_INTR_INFO_FIELD), INTR_INFO_VALID_MASK | INTR_TYPE_HARD_EXCEPTION | 13);
	tap_is(vmx_rules_broken(&s), 0, "in real mode #GP has no error code");
	prot32(&s);
	set(&s, AT(GUEST_RFLAGS), 0x102);
	set(&s, AT(GUEST_INTERRUPTIBILITY_INFO), 2);
	set(&s, AT(GUEST_PENDING_DBG_EXCEPTIONS), 0x4000);
	tap_is(vmx_rules_broken(&s), 0, "a single-step trap waits behind MOV SS");
}

static const struct vmx_rule *find(const char *says)
{
	unsigned int i;

	for (i = 0; i < vmx_rule_count; i++)
		if (!strcmp(vmx_rules[i].says, says))
			return &vmx_rules[i];
	return NULL;
}

static bool breaks_alone(const struct vmx_state *s, const struct breach *breach)
{
	const struct vmx_rule *also = breach->also ? find(breach->also) : NULL;
	const struct vmx_rule *rule = find(breach->says);

	return rule && vmx_rule_broken(s, rule) &&
	       vmx_rules_broken(s) == 1 + (also && vmx_rule_broken(s, also));
}

static void test_each_rule(void)
{
	static bool exercised[512];
	struct vmx_state s;
	unsigned int i, j;

	for (i = 0; i < ARRAY_SIZE(breaches); i++) {
		breaches[i].from(&s);
		for (j = 0; j < breaches[i].count; j++)
			set(&s, breaches[i].changes[j].place, breaches[i].changes[j].value);
		if (!tap_ok(breaks_alone(&s, &breaches[i]), "%s", breaches[i].says))
			show(&s);
		if (find(breaches[i].says))
			exercised[find(breaches[i].says) - vmx_rules] = true;
	}
	for (i = 0; i < vmx_rule_count; i++)
		tap_check(exercised[i], "nobody broke: %s", vmx_rules[i].says);
	tap_ok(tap_held(), "each of the %u rules has been broken", vmx_rule_count);
}

static void test_table(void)
{
	struct vmx_state s;
	char text[1024];
	unsigned int i;

	good(&s);
	memset(s.field, 0xff, sizeof(s.field));
	for (i = 0; i < vmx_rule_count; i++) {
		const struct vmx_rule *rule = &vmx_rules[i];

		tap_check(find(rule->says) == rule, "twice: %s", rule->says);
		tap_check(!rule->bits != !rule->broken, "bits or broken: %s", rule->says);
		tap_check(i == 0 || strcmp(rule[-1].section, rule->section) <= 0,
			  "not in the manual's order: %s", rule->says);
		tap_check(rule->count >= 1 && rule->count <= VMX_RULE_FIELDS, "fields: %s", rule->says);
		tap_check(vmx_rule_text(&s, rule, text, sizeof(text)) < LINE - 1, "too long: %s", rule->says);
	}
	tap_ok(tap_held(), "the table is in order");
}

static void test_text(void)
{
	struct vmx_state s;
	char text[256];

	long64(&s);
	set(&s, AT(GUEST_CS_AR_BYTES), 0xe09b);
	tap_is(vmx_explain(&s, text, sizeof(text)), 1, "CS.L with CS.D: one rule");
	tap_ok(!strcmp(text, "CS.L and CS.D are both 1 (SDM 27.3.1.2): Guest CS access rights 0xe09b\n"),
	       "... which is told with section and value");
	set(&s, AT(GUEST_RFLAGS), 0x8002);
	tap_is(vmx_explain(&s, text, 100), 2, "a second rule is counted where there is no room for it");
	tap_ok(!strcmp(text, "CS.L and CS.D are both 1 (SDM 27.3.1.2): Guest CS access rights 0xe09b\n"),
	       "... and left out whole");
	vmx_explain(&s, text, sizeof(text));
	tap_ok(strstr(text, "\nRFLAGS has reserved bits set (SDM 27.3.1.4): Guest RFLAGS 0x8002, wrong bits 0x8000\n"),
	       "wrong bits are told");
	tap_is(vmx_explain(&s, text, 1), 2, "one byte holds the zero");
	tap_is(text[0], 0, "... and nothing else");
	s.hidden[AT(GUEST_RFLAGS)] = ~0xfULL;
	vmx_explain(&s, text, sizeof(text));
	tap_ok(strstr(text, ": Guest RFLAGS 0x2\n"), "what is not for everybody is left out");
	s.hidden[AT(GUEST_RFLAGS)] = ~0ULL;
	vmx_explain(&s, text, sizeof(text));
	tap_ok(strstr(text, ": Guest RFLAGS (for root)\n"), "... and said to be, if nothing is left");
	tap_ok(!strcmp(vmx_instruction_error(7), "VM entry with invalid control field(s)"), "errors have names");
	tap_ok(vmx_instruction_error(14) && vmx_instruction_error(~0U), "... those that do not exist, too");
}

/* Any state has an answer, and the text agrees with the number */
static void test_random(void)
{
	static const u64 odd[] = { 0, ~0ULL, NON_CANONICAL, 0x80000000, 0xffffffff, 1 };
	char text[65536];
	struct vmx_state s;
	unsigned int i, j, lines, broken;
	char *p;

	srandom(4711);
	for (i = 0; i < 20000; i++) {
		goods[random() % ARRAY_SIZE(goods)](&s);
		for (j = random() % 40; j > 0; j--)
			set(&s, random() % VMX_FIELD_COUNT, random() & 1 ? odd[random() % ARRAY_SIZE(odd)] :
			    ((u64)random() << 33 ^ (u64)random()) >> random() % 64);
		broken = vmx_explain(&s, text, sizeof(text));
		for (lines = 0, p = text; (p = strchr(p, '\n')); p++)
			lines++;
		tap_check(lines == broken && broken == vmx_rules_broken(&s), "%u lines, %u rules", lines, broken);
	}
	tap_ok(tap_held(), "20,000 random states are explained");
}

int main(void)
{
	test_table();
	test_good_states();
	test_edges();
	test_each_rule();
	test_text();
	test_random();
	return tap_done();
}
