// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv dump: a vCPU of a running guest, all of it or by section. Each section is one look: the vCPU is
 * held up for the moment of it, so sections of a VM that is not paused are of different moments.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/commands.h"
#include "lib/apic.h"
#include "lib/control.h"
#include "lib/error.h"
#include "lib/hexdump.h"
#include "lib/inspect.h"
#include "lib/json.h"
#include "lib/registers.h"
#include "lib/vmcs.h"

#define WORDS	500
#define SHOWN	5	/* instructions at RIP */

struct dump_values {
	const char *vm;
	u32 vcpu, section;
	bool json;
};

/* What is dumped, and where to */
struct dump {
	int vm;
	u32 vcpu;
	struct json *json;	/* NULL: text to stdout */
};

static int get(const struct dump *dump, enum thv_state_id component, void *data, u32 size)
{
	return inspect_state(dump->vm, dump->vcpu, component, data, size);
}

/* A value with its bits in words */
static void tell(const struct dump *dump, const char *name, u64 value, const struct bit_name *bits)
{
	char words[WORDS];

	if (bits)
		bits_words(bits, value, words, sizeof(words));
	if (!dump->json) {
		printf("%6s %016llx  %s\n", name, value, bits ? words : "");
		return;
	}
	json_open(dump->json, name, '{');
	json_number(dump->json, "value", value);
	if (bits)
		json_text(dump->json, "meaning", words);
	json_close(dump->json, '}');
}

/* ---- registers ---------------------------------------------------------- */

static void json_registers(struct json *json, const struct thv_regs *regs)
{
	char words[WORDS];
	int i;

	for (i = 0; i < THV_GPRS; i++)
		json_number(json, gpr_names[i], regs->gpr[i]);
	json_number(json, "rip", regs->rip);
	json_number(json, "rflags", regs->rflags);
	json_text(json, "flags", bits_words(rflags_bits, regs->rflags, words, sizeof(words)));
}

static int dump_registers(const struct dump *dump)
{
	struct thv_sregs sregs;
	struct thv_regs regs;
	u8 bytes[SHOWN * 15];
	u64 length, rip;

	if (get(dump, THV_STATE_REGS, &regs, sizeof(regs)) < 0 ||
	    get(dump, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0)
		return -1;
	rip = regs.rip + (code_bits(&sregs) == 64 ? 0 : sregs.seg[THV_CS].base);
	length = inspect_linear(dump->vm, dump->vcpu, rip, bytes, sizeof(bytes));
	if (dump->json) {
		json_registers(dump->json, &regs);
		disassemble_json(dump->json, "code", code_bits(&sregs), regs.rip, bytes, length);
		return 0;
	}
	registers_print(stdout, &regs);
	disassemble(stdout, code_bits(&sregs), regs.rip, bytes, length, SHOWN);
	return 0;
}

/* ---- control registers, segments, debug registers ----------------------- */

static void json_segments(struct json *json, const struct thv_sregs *sregs)
{
	char words[80];
	int i;

	json_open(json, "segments", '{');
	for (i = 0; i < THV_SEGMENTS; i++) {
		const struct thv_segment *segment = &sregs->seg[i];

		json_open(json, segment_names[i], '{');
		json_number(json, "selector", segment->selector);
		json_number(json, "base", segment->base);
		json_number(json, "limit", segment->limit);
		json_number(json, "attributes", segment->attributes);
		json_text(json, "meaning",
			  segment_words(segment->attributes, words, sizeof(words)));
		json_close(json, '}');
	}
	json_close(json, '}');
	json_number(json, "gdt_base", sregs->gdt.base);
	json_number(json, "gdt_limit", sregs->gdt.limit);
	json_number(json, "idt_base", sregs->idt.base);
	json_number(json, "idt_limit", sregs->idt.limit);
}

static void tell_debug(const struct dump *dump, const struct thv_debug *debug)
{
	static const char *const names[4] = { "dr0", "dr1", "dr2", "dr3" };
	int i;

	for (i = 0; i < 4; i++)
		tell(dump, names[i], debug->dr[i], NULL);
	tell(dump, "dr6", debug->dr6, dr6_bits);
	tell(dump, "dr7", debug->dr7, dr7_bits);
}

static void tell_mode(const struct dump *dump, const struct thv_sregs *sregs, u64 rflags)
{
	char mode[80];

	mode_words(sregs->cr0, sregs->cr4, sregs->efer, rflags, sregs->seg[THV_CS].attributes, mode,
		   sizeof(mode));
	if (dump->json) {
		json_text(dump->json, "mode", mode);
		json_number(dump->json, "cpl", segment_dpl(&sregs->seg[THV_SS]));
	} else {
		printf("%s, CPL %u\n", mode, segment_dpl(&sregs->seg[THV_SS]));
	}
}

static int dump_control(const struct dump *dump)
{
	static struct thv_fpu fpu;
	struct thv_sregs sregs;
	struct thv_debug debug;
	struct thv_regs regs;

	if (get(dump, THV_STATE_SREGS, &sregs, sizeof(sregs)) < 0 ||
	    get(dump, THV_STATE_REGS, &regs, sizeof(regs)) < 0 ||
	    get(dump, THV_STATE_DEBUG, &debug, sizeof(debug)) < 0 ||
	    get(dump, THV_STATE_FPU, &fpu, sizeof(fpu)) < 0)
		return -1;
	tell_mode(dump, &sregs, regs.rflags);
	tell(dump, "cr0", sregs.cr0, cr0_bits);
	tell(dump, "cr2", sregs.cr2, NULL);
	tell(dump, "cr3", sregs.cr3, NULL);
	tell(dump, "cr4", sregs.cr4, cr4_bits);
	tell(dump, "cr8", sregs.cr8, NULL);
	tell(dump, "efer", sregs.efer, efer_bits);
	tell(dump, "xcr0", fpu.xcr0, xcr0_bits);
	tell_debug(dump, &debug);
	if (dump->json)
		json_segments(dump->json, &sregs);
	else
		segments_print(stdout, &sregs);
	return 0;
}

/* ---- the VMCS ----------------------------------------------------------- */

#define COLUMN	66	/* where words begin */
#define WIDTH	100

static void print_words(const char *words)
{
	int column = COLUMN, word;

	for (; *words; words += word + strspn(words + word, " ")) {
		word = strcspn(words, " ");
		if (column + word + 1 > WIDTH && column > COLUMN)
			column = printf("\n%*s", COLUMN, "") - 1;
		column += printf(" %.*s", word, words);
	}
}

static void tell_field(const struct dump *dump, const struct thv_field *field)
{
	const char *name = vmcs_name(field->field);
	char words[WORDS];

	vmcs_words(field->field, field->value, words, sizeof(words));
	if (!dump->json) {
		printf("%04x %-42.42s %*s%0*llx", field->field, name ? name : "?",
		       16 - vmcs_digits(field->field), "", vmcs_digits(field->field),
		       field->value);
		print_words(words);
		printf("\n");
		return;
	}
	json_open(dump->json, NULL, '{');
	json_number(dump->json, "encoding", field->field);
	json_text(dump->json, "name", name ? name : "?");
	json_text(dump->json, "kind", vmcs_kind(field->field));
	json_number(dump->json, "value", field->value);
	if (*words)
		json_text(dump->json, "meaning", words);
	json_close(dump->json, '}');
}

static int dump_vmcs(const struct dump *dump)
{
	struct thv_field *fields;
	int i, count = inspect_fields(dump->vm, dump->vcpu, &fields);

	if (count < 0)
		return -1;
	if (dump->json)
		json_open(dump->json, "fields", '[');
	for (i = 0; i < count; i++)
		tell_field(dump, &fields[i]);
	if (dump->json)
		json_close(dump->json, ']');
	free(fields);
	return 0;
}

/* ---- events ------------------------------------------------------------- */

static const struct bit_name event_flags[] = {
	BIT_NAME(0, "exception-pending"), BIT_NAME(1, "error-code"), BIT_NAME(2, "payload"),
	BIT_NAME(3, "to-be-delivered-again"), BIT_NAME(4, "NMI-pending"),
	BIT_NAME(5, "NMI-blocked"), BIT_NAME(6, "STI-shadow"), BIT_NAME(7, "MOV-SS-shadow"),
	BIT_NAME(8, "start-up-IPI-pending"), BIT_NAME(9, "INIT-pending"), { 0 }
};

static const char *const mp_states[] = {
	[THV_MP_RUNNING] = "running", [THV_MP_HALTED] = "halted (HLT)",
	[THV_MP_WAIT_SIPI] = "waiting for a start-up IPI",
};

static void json_events(struct json *json, const struct thv_event_state *events)
{
	json_number(json, "exception_vector", events->exception_vector);
	json_number(json, "exception_error", events->exception_error);
	json_number(json, "exception_payload", events->exception_payload);
	json_number(json, "reinject", events->reinject);
	json_number(json, "reinject_error", events->reinject_error);
	json_number(json, "sipi_vector", events->sipi_vector);
	json_number(json, "pending_debug", events->pending_debug);
}

static int dump_events(const struct dump *dump)
{
	struct thv_event_state events;
	const char *mp_state;
	char words[WORDS];

	if (get(dump, THV_STATE_EVENTS, &events, sizeof(events)) < 0)
		return -1;
	mp_state = events.mp_state < ARRAY_SIZE(mp_states) ? mp_states[events.mp_state] : "?";
	bits_words(event_flags, events.flags, words, sizeof(words));
	if (dump->json) {
		json_text(dump->json, "state", mp_state);
		json_text(dump->json, "flags", words);
		json_events(dump->json, &events);
		return 0;
	}
	printf("%s; %s\n", mp_state, *words ? words : "nothing is pending or blocked");
	if (events.flags & THV_EVENT_EXCEPTION)
		printf("exception vector %u, error code %#x, CR2 or DR6 bits %#llx\n",
		       events.exception_vector, events.exception_error, events.exception_payload);
	if (events.flags & THV_EVENT_REINJECT)
		printf("to be delivered again: %#x, error code %#x\n", events.reinject,
		       events.reinject_error);
	return 0;
}

/* ---- APIC, MSRs --------------------------------------------------------- */

static int dump_apic(const struct dump *dump)
{
	struct thv_apic apic;

	if (get(dump, THV_STATE_APIC, &apic, sizeof(apic)) < 0)
		return -1;
	if (dump->json)
		apic_json(dump->json, "registers", &apic);
	else
		apic_print(stdout, &apic);
	return 0;
}

static const struct {
	u32 index;
	const char *name;
} msr_names[] = {
	{ 0x10, "IA32_TIME_STAMP_COUNTER" }, { 0x1b, "IA32_APIC_BASE" },
	{ 0x3b, "IA32_TSC_ADJUST" }, { 0x48, "IA32_SPEC_CTRL" }, { 0x174, "IA32_SYSENTER_CS" },
	{ 0x175, "IA32_SYSENTER_ESP" }, { 0x176, "IA32_SYSENTER_EIP" },
	{ 0x1a0, "IA32_MISC_ENABLE" }, { 0x1d9, "IA32_DEBUGCTL" }, { 0x277, "IA32_PAT" },
	{ 0x2ff, "IA32_MTRR_DEF_TYPE" }, { 0x6e0, "IA32_TSC_DEADLINE" },
	{ 0xc0000080, "IA32_EFER" }, { 0xc0000081, "IA32_STAR" }, { 0xc0000082, "IA32_LSTAR" },
	{ 0xc0000083, "IA32_CSTAR" }, { 0xc0000084, "IA32_FMASK" },
	{ 0xc0000100, "IA32_FS_BASE" }, { 0xc0000101, "IA32_GS_BASE" },
	{ 0xc0000102, "IA32_KERNEL_GS_BASE" }, { 0xc0000103, "IA32_TSC_AUX" },
};

/* One by one: which of them this guest has, only asking tells */
static int dump_msrs(const struct dump *dump)
{
	struct thv_msr msr;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(msr_names); i++) {
		msr = (struct thv_msr){ .index = msr_names[i].index };
		if (get(dump, THV_STATE_MSRS, &msr, sizeof(msr)) < 1)
			continue;
		if (dump->json)
			json_number(dump->json, msr_names[i].name, msr.value);
		else
			printf("%08x %-24s %016llx\n", msr.index, msr_names[i].name, msr.value);
	}
	return 0;
}

/* ---- all ---------------------------------------------------------------- */

static const char *const sections[] = {
	"all", "registers", "control", "vmcs", "events", "apic", "msrs", NULL
};

/* In the order of sections[], without "all" */
static int (*const dumps[])(const struct dump *dump) = {
	dump_registers, dump_control, dump_vmcs, dump_events, dump_apic, dump_msrs,
};

static int dump_section(const struct dump *dump, u32 section, bool heading)
{
	int result;

	if (!dump->json) {
		if (heading)
			printf("%s---- %s\n", section ? "\n" : "", sections[section + 1]);
		return dumps[section](dump);
	}
	json_open(dump->json, sections[section + 1], '{');
	result = dumps[section](dump);
	json_close(dump->json, '}');
	return result;
}

static int dump_all(const struct dump *dump, u32 wanted)
{
	int result = 0;
	u32 i;

	if (dump->json)
		json_open(dump->json, NULL, '{');
	for (i = 0; i < ARRAY_SIZE(dumps) && !result; i++)
		if (!wanted || wanted == i + 1)
			result = dump_section(dump, i, !wanted);
	if (dump->json) {
		json_close(dump->json, '}');
		printf("\n");
	}
	return result;
}

#define FIELD(member)	.field = offsetof(struct dump_values, member)

static const struct option_row options[] = {
	{ "VM", NULL, "the VM's number or name", option_text, FIELD(vm),
	  .positional = true, .required = true },
	{ "vcpu", "N", "which vCPU", option_number, FIELD(vcpu), .initial = "0",
	  .maximum = THV_MAX_VCPUS - 1 },
	{ "section", "NAME", "which part", option_choice, FIELD(section), .initial = "all",
	  .choices = sections },
	{ "json", NULL, "print it as JSON", option_flag, FIELD(json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "it was printed" },
	{ 1, "the VM could not be looked at; why was printed" },
	{ 0, NULL }
};

static int run(void *opaque)
{
	const struct dump_values *values = opaque;
	struct json json = { .file = stdout };
	struct dump dump = { .vcpu = values->vcpu, .json = values->json ? &json : NULL };

	dump.vm = control_open(values->vm);
	if (dump.vm >= 0 && !dump_all(&dump, values->section)) {
		close(dump.vm);
		return 0;
	}
	fflush(stdout);
	fprintf(stderr, "thv dump: %s\n", error_text());
	return STATUS_ERROR;
}

const struct command cmd_dump = {
	.name = "dump",
	.summary = "print a vCPU of a running guest: registers, control state, VMCS, events, APIC, MSRs",
	.details = "To see all sections of one moment, `thv pause` the VM before.",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct dump_values),
	.run = run,
};
