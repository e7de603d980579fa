/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * VM-instruction errors (SDM table 31-1): E(number, text), with the manual's words. For the module
 * and the launcher; it includes nothing.
 */
#ifndef THV_VMX_ERRORS_H
#define THV_VMX_ERRORS_H

#define VMX_INSTRUCTION_ERRORS(E) \
	E(1, "VMCALL executed in VMX root operation") \
	E(2, "VMCLEAR with invalid physical address") \
	E(3, "VMCLEAR with VMXON pointer") \
	E(4, "VMLAUNCH with non-clear VMCS") \
	E(5, "VMRESUME with non-launched VMCS") \
	E(6, "VMRESUME after VMXOFF") \
	E(7, "VM entry with invalid control field(s)") \
	E(8, "VM entry with invalid host-state field(s)") \
	E(9, "VMPTRLD with invalid physical address") \
	E(10, "VMPTRLD with VMXON pointer") \
	E(11, "VMPTRLD with incorrect VMCS revision identifier") \
	E(12, "VMREAD/VMWRITE from/to unsupported VMCS component") \
	E(13, "VMWRITE to read-only VMCS component") \
	E(15, "VMXON executed in VMX root operation") \
	E(16, "VM entry with invalid executive-VMCS pointer") \
	E(17, "VM entry with non-launched executive VMCS") \
	E(18, "VM entry with executive-VMCS pointer not VMXON pointer") \
	E(19, "VMCALL with non-clear VMCS") \
	E(20, "VMCALL with invalid VM-exit control fields") \
	E(22, "VMCALL with incorrect MSEG revision identifier") \
	E(23, "VMXOFF under dual-monitor treatment of SMIs and SMM") \
	E(24, "VMCALL with invalid SMM-monitor features") \
	E(25, "VM entry with invalid VM-execution control fields in executive VMCS") \
	E(26, "VM entry with events blocked by MOV SS") \
	E(28, "Invalid operand to INVEPT/INVVPID")

#endif
