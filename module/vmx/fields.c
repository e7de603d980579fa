// SPDX-License-Identifier: GPL-2.0-only
/*
 * The VMCS of a vCPU, field by field, as its next entry will find it: for people (THV_GET_FIELDS), and
 * for the rules of entry (refused.c).
 *
 * Which fields there are depends on the processor, and VMREAD tells: it fails for the others. As each
 * failure leaves its trace in the VM-instruction error field, it is found out once.
 */
#include "fields.h"
#include "vmx.h"

#define ENCODING(symbol, encoding, name)	encoding,

const u32 vmx_encodings[VMX_FIELD_COUNT] = {
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

/* The bits of a field that anybody may see, and not only who may know the host's addresses */
u64 vmx_field_public(u32 encoding)
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
	if (vmread(VM_INSTRUCTION_ERROR) != error && vmx_caps.misc & VMX_MISC_WRITES_ANY_FIELD)
		vmwrite(VM_INSTRUCTION_ERROR, error);
}

/* A field by its place in the list; false, and 0: the processor does not have it */
static bool look(u32 place, u64 *value)
{
	*value = 0;
	if (test_bit(place, missing))
		return false;
	if (read_field(vmx_encodings[place], value))
		return true;
	set_bit(place, missing);
	return false;
}

/**
 * vmx_read_fields - every field of the VMCS.
 * @values: out; VMX_FIELD_COUNT of them, by enum vmx_field_place; 0: the processor has no such field.
 *
 * Context: the vCPU is loaded.
 */
void vmx_read_fields(u64 *values)
{
	u64 error = vmread(VM_INSTRUCTION_ERROR);
	u32 i;

	for (i = 0; i < VMX_FIELD_COUNT; i++)
		look(i, &values[i]);
	values[VMX_AT_VM_INSTRUCTION_ERROR] = error;
	restore_error(error);
}

/* Does the processor have the field in this place? To be asked after a vmx_read_fields() */
bool vmx_has_field(u32 place)
{
	return !test_bit(place, missing);
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
	u32 i, count = 0;

	vmx_write_dirty_regs(to_vmx(vcpu));
	for (i = 0; i < VMX_FIELD_COUNT; i++) {
		if (!look(i, &value))
			continue;
		if (i == VMX_AT_VM_INSTRUCTION_ERROR)
			value = error;
		if (!all)
			value &= vmx_field_public(vmx_encodings[i]);
		/* With shadow paging this is where a table of ours lies */
		if (!all && vmx_encodings[i] == GUEST_CR3 && vmx_shadows(to_vmx(vcpu)))
			value = 0;
		fields[count++] = (struct thv_field){ .field = vmx_encodings[i], .value = value };
	}
	restore_error(error);
	return count;
}
