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

/**
 * vmx_get_fields - every field of the VMCS that exists here, in the order of SDM appendix B.
 * @vcpu: loaded.
 * @fields: room for VMX_FIELD_COUNT.
 *
 * Return: how many there are.
 */
u32 vmx_get_fields(struct thv_vcpu *vcpu, struct thv_field *fields)
{
	u64 value, error = vmread(VM_INSTRUCTION_ERROR);
	u32 i, count = 0;

	vmx_write_dirty_regs(to_vmx(vcpu));
	for (i = 0; i < VMX_FIELD_COUNT; i++) {
		if (test_bit(i, missing))
			continue;
		if (!read_field(encodings[i], &value)) {
			set_bit(i, missing);
			continue;
		}
		if (i == VMX_AT_VM_INSTRUCTION_ERROR)
			value = error;
		fields[count++] = (struct thv_field){ .field = encodings[i], .value = value };
	}
	return count;
}
