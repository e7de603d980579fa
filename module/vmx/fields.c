// SPDX-License-Identifier: GPL-2.0-only
/*
 * THV_GET_FIELDS: the VMCS of a vCPU, field by field, as its next entry will find it.
 *
 * Which fields there are depends on the processor, and VMREAD tells: it fails for the others. As each
 * failure leaves its trace in the VM-instruction error field, it is found out once.
 */
#include "fields.h"
#include "vmx.h"

#define ENCODING(symbol, encoding, name)	encoding,

/* In the order of the list, which is also that of enum vmx_field_place */
static const u32 encodings[VMX_FIELD_COUNT] = {
	VMX_FIELDS(ENCODING, ENCODING)
};

/* Set once each, and never cleared: two who find out at a time find out the same */
static DECLARE_BITMAP(missing, VMX_FIELD_COUNT);

/* As vmread(), for a field that may not exist, or while a crash turns VMX off under us */
static bool read_field(u32 encoding, u64 *value)
{
	bool failed = true;

	*value = 0;
	asm volatile("1:	vmread %[field], %[value]\n"
		     "	setbe %[failed]\n"
		     "2:\n"
		     _ASM_EXTABLE(1b, 2b)
		     : [value] "+r" (*value), [failed] "+q" (failed)
		     : [field] "r" ((unsigned long)encoding) : "cc");
	return !failed;
}

/* 64-bit control fields that are no host-physical address; a new one is taken for an address */
static const u32 no_addresses[] = {
	TSC_OFFSET, TSC_MULTIPLIER, VM_FUNCTION_CONTROL, TERTIARY_VM_EXEC_CONTROL,
	EOI_EXIT_BITMAP0, EOI_EXIT_BITMAP1, EOI_EXIT_BITMAP2, EOI_EXIT_BITMAP3,
	XSS_EXIT_BITMAP, ENCLS_EXITING_BITMAP,
};

/* The bits of a field that anybody may see */
static u64 for_anybody(u32 encoding)
{
	int i;

	if (VMX_FIELD_TYPE(encoding) == VMX_HOST)
		return 0;
	if (encoding == EPT_POINTER)
		return ~PAGE_MASK;
	if (VMX_FIELD_TYPE(encoding) != VMX_CONTROL || VMX_FIELD_WIDTH(encoding) != VMX_WIDTH_64)
		return ~0ULL;
	for (i = 0; i < ARRAY_SIZE(no_addresses); i++)
		if (no_addresses[i] == encoding)
			return ~0ULL;
	return 0;
}

/* Our failed looks left their trace; processors that let this field be written can be rid of it */
static void restore_error(u64 error)
{
	if (vmx_caps.misc & VMX_MISC_WRITES_ANY_FIELD)
		vmwrite(VM_INSTRUCTION_ERROR, error);
}

/**
 * vmx_get_fields - every field of the VMCS that exists here, in the order of SDM appendix B.
 * @vcpu: loaded.
 * @fields: room for VMX_FIELD_COUNT.
 * @all: tell what the host's own addresses are, too.
 *
 * Return: how many there are.
 */
u32 vmx_get_fields(struct thv_vcpu *vcpu, struct thv_field *fields, bool all)
{
	u64 value, error = vmread(VM_INSTRUCTION_ERROR);
	bool failed = false;
	u32 i, count = 0;

	vmx_write_dirty_regs(to_vmx(vcpu));
	for (i = 0; i < VMX_FIELD_COUNT; i++) {
		if (test_bit(i, missing))
			continue;
		if (!read_field(encodings[i], &value)) {
			set_bit(i, missing);
			failed = true;
			continue;
		}
		if (i == VMX_AT_VM_INSTRUCTION_ERROR)
			value = error;
		if (!all)
			value &= for_anybody(encodings[i]);
		fields[count++] = (struct thv_field){ .field = encodings[i], .value = value };
	}
	if (failed)
		restore_error(error);
	return count;
}
