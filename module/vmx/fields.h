/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Every field of a VMCS, in the order of SDM appendix B: the one list from which the module, its
 * native tests and the command line make their tables. It includes nothing.
 *
 * F(symbol, encoding, name): asm/vmx.h of every supported kernel has the symbol (vmcs.c asserts
 * that the encodings agree). OWN(symbol, encoding, name): it hasn't; the symbol is made in its
 * style, and is not an identifier by itself, since a later kernel may define it. Names are the
 * manual's. VMREAD of a field that the processor lacks fails.
 */
#ifndef THV_VMX_FIELDS_H
#define THV_VMX_FIELDS_H

/* An encoding tells the field's kind and width (SDM 25.11.2) */
#define VMX_FIELD_TYPE(encoding)	(((encoding) >> 10) & 3)	/* enum vmx_field_type */
#define VMX_FIELD_WIDTH(encoding)	(((encoding) >> 13) & 3)	/* enum vmx_field_width */

enum vmx_field_type { VMX_CONTROL, VMX_READ_ONLY, VMX_GUEST, VMX_HOST };

enum vmx_field_width { VMX_WIDTH_16, VMX_WIDTH_64, VMX_WIDTH_32, VMX_WIDTH_NATURAL };

#define VMX_FIELDS(F, OWN) \
	/* 16-bit control fields (SDM table B-1) */ \
	F(VIRTUAL_PROCESSOR_ID,			0x0000, "Virtual-processor identifier (VPID)") \
	F(POSTED_INTR_NV,			0x0002, "Posted-interrupt notification vector") \
	OWN(EPTP_INDEX,				0x0004, "EPTP index") \
	OWN(HLAT_PREFIX_SIZE,			0x0006, "HLAT prefix size") \
	F(LAST_PID_POINTER_INDEX,		0x0008, "Last PID-pointer index") \
	/* 16-bit guest-state fields (table B-2) */ \
	F(GUEST_ES_SELECTOR,			0x0800, "Guest ES selector") \
	F(GUEST_CS_SELECTOR,			0x0802, "Guest CS selector") \
	F(GUEST_SS_SELECTOR,			0x0804, "Guest SS selector") \
	F(GUEST_DS_SELECTOR,			0x0806, "Guest DS selector") \
	F(GUEST_FS_SELECTOR,			0x0808, "Guest FS selector") \
	F(GUEST_GS_SELECTOR,			0x080a, "Guest GS selector") \
	F(GUEST_LDTR_SELECTOR,			0x080c, "Guest LDTR selector") \
	F(GUEST_TR_SELECTOR,			0x080e, "Guest TR selector") \
	F(GUEST_INTR_STATUS,			0x0810, "Guest interrupt status") \
	F(GUEST_PML_INDEX,			0x0812, "PML index") \
	OWN(GUEST_UINV,				0x0814, "Guest UINV") \
	/* 16-bit host-state fields (table B-3) */ \
	F(HOST_ES_SELECTOR,			0x0c00, "Host ES selector") \
	F(HOST_CS_SELECTOR,			0x0c02, "Host CS selector") \
	F(HOST_SS_SELECTOR,			0x0c04, "Host SS selector") \
	F(HOST_DS_SELECTOR,			0x0c06, "Host DS selector") \
	F(HOST_FS_SELECTOR,			0x0c08, "Host FS selector") \
	F(HOST_GS_SELECTOR,			0x0c0a, "Host GS selector") \
	F(HOST_TR_SELECTOR,			0x0c0c, "Host TR selector") \
	/* 64-bit control fields (table B-4) */ \
	F(IO_BITMAP_A,				0x2000, "Address of I/O bitmap A") \
	F(IO_BITMAP_B,				0x2002, "Address of I/O bitmap B") \
	F(MSR_BITMAP,				0x2004, "Address of MSR bitmaps") \
	F(VM_EXIT_MSR_STORE_ADDR,		0x2006, "VM-exit MSR-store address") \
	F(VM_EXIT_MSR_LOAD_ADDR,		0x2008, "VM-exit MSR-load address") \
	F(VM_ENTRY_MSR_LOAD_ADDR,		0x200a, "VM-entry MSR-load address") \
	OWN(EXECUTIVE_VMCS_POINTER,		0x200c, "Executive-VMCS pointer") \
	F(PML_ADDRESS,				0x200e, "PML address") \
	F(TSC_OFFSET,				0x2010, "TSC offset") \
	F(VIRTUAL_APIC_PAGE_ADDR,		0x2012, "Virtual-APIC address") \
	F(APIC_ACCESS_ADDR,			0x2014, "APIC-access address") \
	F(POSTED_INTR_DESC_ADDR,		0x2016, "Posted-interrupt descriptor address") \
	F(VM_FUNCTION_CONTROL,			0x2018, "VM-function controls") \
	F(EPT_POINTER,				0x201a, "EPT pointer (EPTP)") \
	F(EOI_EXIT_BITMAP0,			0x201c, "EOI-exit bitmap 0") \
	F(EOI_EXIT_BITMAP1,			0x201e, "EOI-exit bitmap 1") \
	F(EOI_EXIT_BITMAP2,			0x2020, "EOI-exit bitmap 2") \
	F(EOI_EXIT_BITMAP3,			0x2022, "EOI-exit bitmap 3") \
	F(EPTP_LIST_ADDRESS,			0x2024, "EPTP-list address") \
	F(VMREAD_BITMAP,			0x2026, "VMREAD-bitmap address") \
	F(VMWRITE_BITMAP,			0x2028, "VMWRITE-bitmap address") \
	OWN(VE_INFORMATION_ADDRESS,		0x202a, "Virtualization-exception information address") \
	F(XSS_EXIT_BITMAP,			0x202c, "XSS-exiting bitmap") \
	F(ENCLS_EXITING_BITMAP,			0x202e, "ENCLS-exiting bitmap") \
	OWN(SPP_TABLE_POINTER,			0x2030, "Sub-page-permission-table pointer") \
	F(TSC_MULTIPLIER,			0x2032, "TSC multiplier") \
	F(TERTIARY_VM_EXEC_CONTROL,		0x2034, "Tertiary processor-based VM-execution controls") \
	OWN(ENCLV_EXITING_BITMAP,		0x2036, "ENCLV-exiting bitmap") \
	OWN(LOW_PASID_DIRECTORY,		0x2038, "Low PASID directory address") \
	OWN(HIGH_PASID_DIRECTORY,		0x203a, "High PASID directory address") \
	OWN(SHARED_EPT_POINTER,			0x203c, "Shared EPT pointer") \
	OWN(PCONFIG_EXITING_BITMAP,		0x203e, "PCONFIG-exiting bitmap") \
	OWN(HLAT_POINTER,			0x2040, \
	    "Hypervisor-managed linear-address translation pointer (HLATP)") \
	F(PID_POINTER_TABLE,			0x2042, "PID-pointer table address") \
	OWN(SECONDARY_VM_EXIT_CONTROLS,		0x2044, "Secondary VM-exit controls") \
	OWN(SPEC_CTRL_MASK,			0x204a, "IA32_SPEC_CTRL mask") \
	OWN(SPEC_CTRL_SHADOW,			0x204c, "IA32_SPEC_CTRL shadow") \
	OWN(INJECTED_EVENT_DATA,		0x2052, "Injected-event data") \
	/* 64-bit read-only data fields (table B-5) */ \
	F(GUEST_PHYSICAL_ADDRESS,		0x2400, "Guest-physical address") \
	OWN(ORIGINAL_EVENT_DATA,		0x2404, "Original-event data") \
	/* 64-bit guest-state fields (table B-6) */ \
	F(VMCS_LINK_POINTER,			0x2800, "VMCS link pointer") \
	F(GUEST_IA32_DEBUGCTL,			0x2802, "Guest IA32_DEBUGCTL") \
	F(GUEST_IA32_PAT,			0x2804, "Guest IA32_PAT") \
	F(GUEST_IA32_EFER,			0x2806, "Guest IA32_EFER") \
	F(GUEST_IA32_PERF_GLOBAL_CTRL,		0x2808, "Guest IA32_PERF_GLOBAL_CTRL") \
	F(GUEST_PDPTR0,				0x280a, "Guest PDPTE0") \
	F(GUEST_PDPTR1,				0x280c, "Guest PDPTE1") \
	F(GUEST_PDPTR2,				0x280e, "Guest PDPTE2") \
	F(GUEST_PDPTR3,				0x2810, "Guest PDPTE3") \
	F(GUEST_BNDCFGS,			0x2812, "Guest IA32_BNDCFGS") \
	F(GUEST_IA32_RTIT_CTL,			0x2814, "Guest IA32_RTIT_CTL") \
	OWN(GUEST_IA32_LBR_CTL,			0x2816, "Guest IA32_LBR_CTL") \
	OWN(GUEST_IA32_PKRS,			0x2818, "Guest IA32_PKRS") \
	OWN(GUEST_IA32_FRED_CONFIG,		0x281a, "Guest IA32_FRED_CONFIG") \
	OWN(GUEST_IA32_FRED_RSP1,		0x281c, "Guest IA32_FRED_RSP1") \
	OWN(GUEST_IA32_FRED_RSP2,		0x281e, "Guest IA32_FRED_RSP2") \
	OWN(GUEST_IA32_FRED_RSP3,		0x2820, "Guest IA32_FRED_RSP3") \
	OWN(GUEST_IA32_FRED_STKLVLS,		0x2822, "Guest IA32_FRED_STKLVLS") \
	OWN(GUEST_IA32_FRED_SSP1,		0x2824, "Guest IA32_FRED_SSP1") \
	OWN(GUEST_IA32_FRED_SSP2,		0x2826, "Guest IA32_FRED_SSP2") \
	OWN(GUEST_IA32_FRED_SSP3,		0x2828, "Guest IA32_FRED_SSP3") \
	/* 64-bit host-state fields (table B-7) */ \
	F(HOST_IA32_PAT,			0x2c00, "Host IA32_PAT") \
	F(HOST_IA32_EFER,			0x2c02, "Host IA32_EFER") \
	F(HOST_IA32_PERF_GLOBAL_CTRL,		0x2c04, "Host IA32_PERF_GLOBAL_CTRL") \
	OWN(HOST_IA32_PKRS,			0x2c06, "Host IA32_PKRS") \
	OWN(HOST_IA32_FRED_CONFIG,		0x2c08, "Host IA32_FRED_CONFIG") \
	OWN(HOST_IA32_FRED_RSP1,		0x2c0a, "Host IA32_FRED_RSP1") \
	OWN(HOST_IA32_FRED_RSP2,		0x2c0c, "Host IA32_FRED_RSP2") \
	OWN(HOST_IA32_FRED_RSP3,		0x2c0e, "Host IA32_FRED_RSP3") \
	OWN(HOST_IA32_FRED_STKLVLS,		0x2c10, "Host IA32_FRED_STKLVLS") \
	OWN(HOST_IA32_FRED_SSP1,		0x2c12, "Host IA32_FRED_SSP1") \
	OWN(HOST_IA32_FRED_SSP2,		0x2c14, "Host IA32_FRED_SSP2") \
	OWN(HOST_IA32_FRED_SSP3,		0x2c16, "Host IA32_FRED_SSP3") \
	/* 32-bit control fields (table B-8) */ \
	F(PIN_BASED_VM_EXEC_CONTROL,		0x4000, "Pin-based VM-execution controls") \
	F(CPU_BASED_VM_EXEC_CONTROL,		0x4002, "Primary processor-based VM-execution controls") \
	F(EXCEPTION_BITMAP,			0x4004, "Exception bitmap") \
	F(PAGE_FAULT_ERROR_CODE_MASK,		0x4006, "Page-fault error-code mask") \
	F(PAGE_FAULT_ERROR_CODE_MATCH,		0x4008, "Page-fault error-code match") \
	F(CR3_TARGET_COUNT,			0x400a, "CR3-target count") \
	F(VM_EXIT_CONTROLS,			0x400c, "Primary VM-exit controls") \
	F(VM_EXIT_MSR_STORE_COUNT,		0x400e, "VM-exit MSR-store count") \
	F(VM_EXIT_MSR_LOAD_COUNT,		0x4010, "VM-exit MSR-load count") \
	F(VM_ENTRY_CONTROLS,			0x4012, "VM-entry controls") \
	F(VM_ENTRY_MSR_LOAD_COUNT,		0x4014, "VM-entry MSR-load count") \
	F(VM_ENTRY_INTR_INFO_FIELD,		0x4016, "VM-entry interruption-information field") \
	F(VM_ENTRY_EXCEPTION_ERROR_CODE,	0x4018, "VM-entry exception error code") \
	F(VM_ENTRY_INSTRUCTION_LEN,		0x401a, "VM-entry instruction length") \
	F(TPR_THRESHOLD,			0x401c, "TPR threshold") \
	F(SECONDARY_VM_EXEC_CONTROL,		0x401e, "Secondary processor-based VM-execution controls") \
	F(PLE_GAP,				0x4020, "PLE_Gap") \
	F(PLE_WINDOW,				0x4022, "PLE_Window") \
	F(NOTIFY_WINDOW,			0x4024, "Instruction-timeout control") \
	/* 32-bit read-only data fields (table B-9) */ \
	F(VM_INSTRUCTION_ERROR,			0x4400, "VM-instruction error") \
	F(VM_EXIT_REASON,			0x4402, "Exit reason") \
	F(VM_EXIT_INTR_INFO,			0x4404, "VM-exit interruption information") \
	F(VM_EXIT_INTR_ERROR_CODE,		0x4406, "VM-exit interruption error code") \
	F(IDT_VECTORING_INFO_FIELD,		0x4408, "IDT-vectoring information field") \
	F(IDT_VECTORING_ERROR_CODE,		0x440a, "IDT-vectoring error code") \
	F(VM_EXIT_INSTRUCTION_LEN,		0x440c, "VM-exit instruction length") \
	F(VMX_INSTRUCTION_INFO,			0x440e, "VM-exit instruction information") \
	/* 32-bit guest-state fields (table B-10) */ \
	F(GUEST_ES_LIMIT,			0x4800, "Guest ES limit") \
	F(GUEST_CS_LIMIT,			0x4802, "Guest CS limit") \
	F(GUEST_SS_LIMIT,			0x4804, "Guest SS limit") \
	F(GUEST_DS_LIMIT,			0x4806, "Guest DS limit") \
	F(GUEST_FS_LIMIT,			0x4808, "Guest FS limit") \
	F(GUEST_GS_LIMIT,			0x480a, "Guest GS limit") \
	F(GUEST_LDTR_LIMIT,			0x480c, "Guest LDTR limit") \
	F(GUEST_TR_LIMIT,			0x480e, "Guest TR limit") \
	F(GUEST_GDTR_LIMIT,			0x4810, "Guest GDTR limit") \
	F(GUEST_IDTR_LIMIT,			0x4812, "Guest IDTR limit") \
	F(GUEST_ES_AR_BYTES,			0x4814, "Guest ES access rights") \
	F(GUEST_CS_AR_BYTES,			0x4816, "Guest CS access rights") \
	F(GUEST_SS_AR_BYTES,			0x4818, "Guest SS access rights") \
	F(GUEST_DS_AR_BYTES,			0x481a, "Guest DS access rights") \
	F(GUEST_FS_AR_BYTES,			0x481c, "Guest FS access rights") \
	F(GUEST_GS_AR_BYTES,			0x481e, "Guest GS access rights") \
	F(GUEST_LDTR_AR_BYTES,			0x4820, "Guest LDTR access rights") \
	F(GUEST_TR_AR_BYTES,			0x4822, "Guest TR access rights") \
	F(GUEST_INTERRUPTIBILITY_INFO,		0x4824, "Guest interruptibility state") \
	F(GUEST_ACTIVITY_STATE,			0x4826, "Guest activity state") \
	OWN(GUEST_SMBASE,			0x4828, "Guest SMBASE") \
	F(GUEST_SYSENTER_CS,			0x482a, "Guest IA32_SYSENTER_CS") \
	F(VMX_PREEMPTION_TIMER_VALUE,		0x482e, "VMX-preemption timer value") \
	/* 32-bit host-state field (table B-11) */ \
	F(HOST_IA32_SYSENTER_CS,		0x4c00, "Host IA32_SYSENTER_CS") \
	/* Natural-width control fields (table B-12) */ \
	F(CR0_GUEST_HOST_MASK,			0x6000, "CR0 guest/host mask") \
	F(CR4_GUEST_HOST_MASK,			0x6002, "CR4 guest/host mask") \
	F(CR0_READ_SHADOW,			0x6004, "CR0 read shadow") \
	F(CR4_READ_SHADOW,			0x6006, "CR4 read shadow") \
	F(CR3_TARGET_VALUE0,			0x6008, "CR3-target value 0") \
	F(CR3_TARGET_VALUE1,			0x600a, "CR3-target value 1") \
	F(CR3_TARGET_VALUE2,			0x600c, "CR3-target value 2") \
	F(CR3_TARGET_VALUE3,			0x600e, "CR3-target value 3") \
	/* Natural-width read-only data fields (table B-13) */ \
	F(EXIT_QUALIFICATION,			0x6400, "Exit qualification") \
	OWN(IO_RCX,				0x6402, "I/O RCX") \
	OWN(IO_RSI,				0x6404, "I/O RSI") \
	OWN(IO_RDI,				0x6406, "I/O RDI") \
	OWN(IO_RIP,				0x6408, "I/O RIP") \
	F(GUEST_LINEAR_ADDRESS,			0x640a, "Guest-linear address") \
	/* Natural-width guest-state fields (table B-14) */ \
	F(GUEST_CR0,				0x6800, "Guest CR0") \
	F(GUEST_CR3,				0x6802, "Guest CR3") \
	F(GUEST_CR4,				0x6804, "Guest CR4") \
	F(GUEST_ES_BASE,			0x6806, "Guest ES base") \
	F(GUEST_CS_BASE,			0x6808, "Guest CS base") \
	F(GUEST_SS_BASE,			0x680a, "Guest SS base") \
	F(GUEST_DS_BASE,			0x680c, "Guest DS base") \
	F(GUEST_FS_BASE,			0x680e, "Guest FS base") \
	F(GUEST_GS_BASE,			0x6810, "Guest GS base") \
	F(GUEST_LDTR_BASE,			0x6812, "Guest LDTR base") \
	F(GUEST_TR_BASE,			0x6814, "Guest TR base") \
	F(GUEST_GDTR_BASE,			0x6816, "Guest GDTR base") \
	F(GUEST_IDTR_BASE,			0x6818, "Guest IDTR base") \
	F(GUEST_DR7,				0x681a, "Guest DR7") \
	F(GUEST_RSP,				0x681c, "Guest RSP") \
	F(GUEST_RIP,				0x681e, "Guest RIP") \
	F(GUEST_RFLAGS,				0x6820, "Guest RFLAGS") \
	F(GUEST_PENDING_DBG_EXCEPTIONS,		0x6822, "Guest pending debug exceptions") \
	F(GUEST_SYSENTER_ESP,			0x6824, "Guest IA32_SYSENTER_ESP") \
	F(GUEST_SYSENTER_EIP,			0x6826, "Guest IA32_SYSENTER_EIP") \
	OWN(GUEST_S_CET,			0x6828, "Guest IA32_S_CET") \
	OWN(GUEST_SSP,				0x682a, "Guest SSP") \
	OWN(GUEST_INTR_SSP_TABLE,		0x682c, "Guest IA32_INTERRUPT_SSP_TABLE_ADDR") \
	/* Natural-width host-state fields (table B-15) */ \
	F(HOST_CR0,				0x6c00, "Host CR0") \
	F(HOST_CR3,				0x6c02, "Host CR3") \
	F(HOST_CR4,				0x6c04, "Host CR4") \
	F(HOST_FS_BASE,				0x6c06, "Host FS base") \
	F(HOST_GS_BASE,				0x6c08, "Host GS base") \
	F(HOST_TR_BASE,				0x6c0a, "Host TR base") \
	F(HOST_GDTR_BASE,			0x6c0c, "Host GDTR base") \
	F(HOST_IDTR_BASE,			0x6c0e, "Host IDTR base") \
	F(HOST_IA32_SYSENTER_ESP,		0x6c10, "Host IA32_SYSENTER_ESP") \
	F(HOST_IA32_SYSENTER_EIP,		0x6c12, "Host IA32_SYSENTER_EIP") \
	F(HOST_RSP,				0x6c14, "Host RSP") \
	F(HOST_RIP,				0x6c16, "Host RIP") \
	OWN(HOST_S_CET,				0x6c18, "Host IA32_S_CET") \
	OWN(HOST_SSP,				0x6c1a, "Host SSP") \
	OWN(HOST_INTR_SSP_TABLE,		0x6c1c, "Host IA32_INTERRUPT_SSP_TABLE_ADDR")

/* A field's place in the list: enum constants VMX_AT_symbol, and how many there are */
#define VMX_FIELD_PLACE(symbol, encoding, name)	VMX_AT_##symbol,

enum vmx_field_place {
	VMX_FIELDS(VMX_FIELD_PLACE, VMX_FIELD_PLACE)
	VMX_FIELD_COUNT
};

#undef VMX_FIELD_PLACE

#endif
