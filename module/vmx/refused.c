// SPDX-License-Identifier: GPL-2.0-only
/*
 * An entry that the processor refused, or is about to refuse: the snapshot that the rules of explain.c
 * are asked about, and who is told what they say. None of it runs while entries succeed.
 */
#define pr_fmt(fmt) "thv: " fmt

#include <linux/ratelimit.h>
#include <asm/cpufeature.h>
#include "explain.h"
#include "vmx.h"

/* Bits of IA32_DEBUGCTL (SDM vol. 4, table 2-2) */
static u64 debugctl_bits(const struct vmx_entry_caps *caps)
{
	return GENMASK(1, 0) | GENMASK(14, 6) | (caps->bus_lock ? BIT(2) : 0) |
	       (caps->rtm ? BIT(15) : 0);
}

/* A counter a bit: general ones from bit 0, fixed ones from bit 32 (SDM 20.2.2) */
static u64 perf_global_ctrl_bits(void)
{
	u32 leaf = boot_cpu_data.cpuid_level >= 10 ? 10 : 0;
	u32 general = (cpuid_eax(leaf) >> 8) & 0xff, fixed = cpuid_edx(leaf) & 0x1f;

	return leaf ? (BIT_ULL(general) - 1) | (BIT_ULL(fixed) - 1) << 32 : 0;
}

/*
 * Asked of the processor itself: the kernel hides what it does not use (TSX, say), and takes the bits of
 * memory encryption out of the physical-address width.
 */
static void ask_processor(struct vmx_entry_caps *caps)
{
	u32 widths = cpuid_eax(0x80000008), eax, ebx, ecx, edx;

	caps->phys_bits = widths & 0xff;
	caps->linear_bits = (widths >> 8) & 0xff;
	caps->perf_global_ctrl = perf_global_ctrl_bits();
	if (boot_cpu_data.cpuid_level >= 7) {
		cpuid_count(7, 0, &eax, &ebx, &ecx, &edx);
		caps->sgx = ebx & BIT(2);
		caps->rtm = ebx & BIT(11);
		caps->bus_lock = ecx & BIT(24);
		if (eax) {
			cpuid_count(7, 1, &eax, &ebx, &ecx, &edx);
			caps->cr3_flags = eax & BIT(26) ? GENMASK_ULL(62, 61) : 0;
		}
	}
	caps->debugctl = debugctl_bits(caps);
}

static void get_caps(struct vmx_entry_caps *caps)
{
	memset(caps, 0, sizeof(*caps));
	caps->pin = (struct vmx_word) { vmx_caps.pin_must, vmx_caps.pin_may };
	caps->cpu = (struct vmx_word) { vmx_caps.cpu_must, vmx_caps.cpu_may };
	caps->cpu2 = (struct vmx_word) { vmx_caps.cpu2_must, vmx_caps.cpu2_may };
	caps->exit = (struct vmx_word) { vmx_caps.exit_must, vmx_caps.exit_may };
	caps->entry = (struct vmx_word) { vmx_caps.entry_must, vmx_caps.entry_may };
	caps->basic = vmx_caps.basic;
	caps->misc = vmx_caps.misc;
	caps->ept_vpid = vmx_caps.ept_vpid;
	caps->cr0_fixed0 = vmx_caps.cr0_fixed0;
	caps->cr0_fixed1 = vmx_caps.cr0_fixed1;
	caps->cr4_fixed0 = vmx_caps.cr4_fixed0;
	caps->cr4_fixed1 = vmx_caps.cr4_fixed1;
	ask_processor(caps);
}

/* The event that the next entry will inject, as thv_events_inject() chooses it, is not in the VMCS yet */
static void add_event(struct vmx_vcpu *vmx, struct vmx_state *s)
{
	const struct thv_events *events = &vmx->vcpu.events;
	const struct thv_event *event = events->exception.valid ? &events->exception : &events->reinject;

	if (!event->valid || s->field[VMX_AT_VM_ENTRY_INTR_INFO_FIELD] & INTR_INFO_VALID_MASK)
		return;
	s->field[VMX_AT_VM_ENTRY_INTR_INFO_FIELD] = vmx_event_word(event);
	s->field[VMX_AT_VM_ENTRY_EXCEPTION_ERROR_CODE] = event->error;
	s->field[VMX_AT_VM_ENTRY_INSTRUCTION_LEN] = event->length;
	if (vmx_step_is_due(vmx, event))
		s->field[VMX_AT_GUEST_PENDING_DBG_EXCEPTIONS] |= VMX_PENDING_BS;
}

/* Where the host has its things is not for everybody to know, as with THV_GET_FIELDS */
static void hide(struct vmx_state *s, bool all)
{
	int i;

	for (i = 0; i < VMX_FIELD_COUNT; i++)
		s->hidden[i] = all ? 0 : ~vmx_field_public(vmx_encodings[i]);
}

/**
 * vmx_snapshot - the VMCS as the next entry would find it.
 * @vmx: the vCPU.
 * @s: out.
 * @all: the host's addresses may be told, too.
 *
 * Context: loaded.
 */
void vmx_snapshot(struct vmx_vcpu *vmx, struct vmx_state *s, bool all)
{
	unsigned long flags;

	local_irq_save(flags);
	vmx_host_fields(vmx);
	vmx_write_dirty_regs(vmx);
	vmx_read_fields(s->field);
	local_irq_restore(flags);
	get_caps(&s->caps);
	hide(s, all);
	add_event(vmx, s);
}

/* A launcher that repeats what is refused does not fill the log */
static bool may_log(void)
{
	static DEFINE_RATELIMIT_STATE(limit, 5 * HZ, 10);

	return __ratelimit(&limit);
}

static void log_rule(const struct thv_vcpu *vcpu, const char *text)
{
	pr_warn("VM %u (%s), vCPU %u: entry refused: %s\n", vcpu->vm->id, vcpu->vm->name, vcpu->id, text);
}

static void log_unknown(struct vmx_vcpu *vmx)
{
	u32 error = vmread(VM_INSTRUCTION_ERROR);
	char text[160];

	if (vmx->reason == VMX_REASON_VMFAIL)
		scnprintf(text, sizeof(text), "VM-instruction error %u, %s (SDM 31.4)", error,
			  vmx_instruction_error(error));
	else
		scnprintf(text, sizeof(text), "exit reason %#x, qualification %#llx", vmx->reason,
			  vmread(EXIT_QUALIFICATION));
	pr_warn("VM %u (%s), vCPU %u: entry refused, though no rule that thv knows is broken: %s\n",
		vmx->vcpu.vm->id, vmx->vcpu.vm->name, vmx->vcpu.id, text);
}

/**
 * vmx_refused - the processor has refused an entry: say why in the kernel log.
 * @vmx: the vCPU, its last exit a failed entry.
 *
 * Context: loaded; may sleep.
 * Return: the number of rules that the state breaks.
 */
u32 vmx_refused(struct vmx_vcpu *vmx)
{
	struct vmx_state *s = kmalloc(sizeof(*s), GFP_KERNEL);
	u32 i, broken = 0;
	bool log = may_log();
	char text[384];

	if (!s)
		return 0;
	vmx_snapshot(vmx, s, false);
	for (i = 0; i < vmx_rule_count; i++) {
		if (!vmx_rule_broken(s, &vmx_rules[i]))
			continue;
		broken++;
		if (!log)
			continue;
		vmx_rule_text(s, &vmx_rules[i], text, sizeof(text));
		log_rule(&vmx->vcpu, text);
	}
	if (!broken && log)
		log_unknown(vmx);
	kfree(s);
	return broken;
}

/* See struct thv_backend */
int vmx_explain_vcpu(struct thv_vcpu *vcpu, char *text, size_t size, bool all)
{
	struct vmx_state *s = kmalloc(sizeof(*s), GFP_KERNEL);
	int broken;

	if (!s)
		return -ENOMEM;
	vmx_snapshot(to_vmx(vcpu), s, all);
	broken = vmx_explain(s, text, size);
	kfree(s);
	return broken;
}
