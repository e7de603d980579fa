// SPDX-License-Identifier: GPL-2.0-only
/*
 * thv dump: all there is to know of a vCPU. Each section first gathers what it prints in rows of a
 * name, a value and words; text and JSON print the same rows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <errno.h>
#include <string.h>

#include "cmd/commands.h"
#include "cmd/target.h"
#include "lib/control.h"
#include "lib/decode.h"
#include "lib/json.h"
#include "lib/registers.h"
#include "lib/vmcs.h"

#define MAX_FIELDS	512	/* more than SDM appendix B has */

struct dump_values {
	struct target target;
	u32 section;
	bool json;
};

/* What goes through all sections: where to ask, and where to print */
struct dump {
	int vm;
	u32 vcpu;
	struct json *json;	/* NULL: text */
	int width;		/* of names */
};

/* ---- rows --------------------------------------------------------------- */

#define WIDE	40	/* names that leave no room for words: these get lines of their own */

static void print_row(int width, const char *name, int digits, u64 value, const char *words)
{
	char left[120];

	snprintf(left, sizeof(left), "  %-*s %*s%0*llx", width, name, 16 - digits, "", digits,
		 value);
	if (*words && width < WIDE) {
		options_wrap(stdout, left, (int)strlen(left) + 2, words);
		return;
	}
	printf("%s\n", left);
	if (*words)
		options_wrap(stdout, "", 6, words);
}

static void row(const struct dump *dump, const char *name, int digits, u64 value,
		const char *words)
{
	if (!dump->json) {
		print_row(dump->width, name, digits, value, words);
		return;
	}
	json_open(dump->json, name, '{');
	json_number(dump->json, "value", value);
	if (*words)
		json_text(dump->json, "meaning", words);
	json_close(dump->json, '}');
}

static void bits_row(const struct dump *dump, const char *name, int digits, u64 value,
		     const struct decode_bit *bits)
{
	char text[DECODE_TEXT];

	row(dump, name, digits, value, decode_bits(value, bits, " ", text, sizeof(text)));
}

/* decode_line() of what has words only */
static void words_row(void *opaque, const char *name, const char *text)
{
	const struct dump *dump = opaque;
	char left[40];

	if (dump->json) {
		json_text(dump->json, name, text);
		return;
	}
	snprintf(left, sizeof(left), "  %s", name);
	options_wrap(stdout, left, 20, text);
}

static int get(const struct dump *dump, enum thv_state_id component, void *data, u32 size)
{
	return control_get(dump->vm, dump->vcpu, component, data, size) < 0 ? -1 : 0;
}

/* ---- sections ----------------------------------------------------------- */

static void json_segments(struct json *json, const struct thv_sregs *sregs)
{
	const struct thv_segment *segment;
	char text[DECODE_TEXT];
	int i;

	for (i = 0; i < THV_SEGMENTS; i++) {
		segment = &sregs->seg[i];
		json_open(json, registers_segment[i], '{');
		json_number(json, "selector", segment->selector);
		json_number(json, "base", segment->base);
		json_number(json, "limit", segment->limit);
		json_number(json, "attributes", segment->attributes);
		json_text(json, "meaning",
			  decode_segment(segment->attributes, text, sizeof(text)));
		json_close(json, '}');
	}
}

static void json_table(struct json *json, const char *name, const struct thv_table *table)
{
	json_open(json, name, '{');
	json_number(json, "base", table->base);
	json_number(json, "limit", table->limit);
	json_close(json, '}');
}

static void json_registers(struct json *json, const struct thv_regs *regs,
			   const struct thv_sregs *sregs)
{
	int i;

	for (i = 0; i < THV_GPRS; i++)
		json_number(json, registers_gpr[i], regs->gpr[i]);
	json_number(json, "rip", regs->rip);
	json_number(json, "rflags", regs->rflags);
	json_segments(json, sregs);
	json_table(json, "gdt", &sregs->gdt);
	json_table(json, "idt", &sregs->idt);
}

static int dump_registers(const struct dump *dump)
{
	struct thv_sregs sregs;
	struct thv_regs regs;

	if (get(dump, THV_STATE_REGS, &regs, sizeof(regs)) ||
	    get(dump, THV_STATE_SREGS, &sregs, sizeof(sregs)))
		return -1;
	if (dump->json) {
		json_registers(dump->json, &regs, &sregs);
		return 0;
	}
	registers_print(&regs, stdout);
	registers_print_segments(&sregs, stdout);
	return 0;
}

static void debug_rows(const struct dump *dump, const struct thv_debug *debug)
{
	static const char *const names[] = { "dr0", "dr1", "dr2", "dr3" };
	size_t i;

	for (i = 0; i < ARRAY_SIZE(names); i++)
		row(dump, names[i], 16, debug->dr[i], "");
	bits_row(dump, "dr6", 8, debug->dr6, decode_dr6);
	bits_row(dump, "dr7", 8, debug->dr7, decode_dr7);
}

static void pdptr_rows(const struct dump *dump, const struct thv_sregs *sregs)
{
	static const char *const names[] = { "pdpte0", "pdpte1", "pdpte2", "pdpte3" };
	size_t i;

	for (i = 0; (sregs->flags & THV_SREGS_PDPTR) && i < ARRAY_SIZE(names); i++)
		row(dump, names[i], 16, sregs->pdptr[i], "");
}

static int dump_control(const struct dump *dump)
{
	struct thv_debug debug;
	struct thv_sregs sregs;
	struct thv_regs regs;

	if (get(dump, THV_STATE_REGS, &regs, sizeof(regs)) ||
	    get(dump, THV_STATE_SREGS, &sregs, sizeof(sregs)) ||
	    get(dump, THV_STATE_DEBUG, &debug, sizeof(debug)))
		return -1;
	bits_row(dump, "cr0", 8, sregs.cr0, decode_cr0);
	row(dump, "cr2", 16, sregs.cr2, "");
	row(dump, "cr3", 16, sregs.cr3, "");
	bits_row(dump, "cr4", 8, sregs.cr4, decode_cr4);
	row(dump, "cr8", 2, sregs.cr8, "");
	bits_row(dump, "efer", 8, sregs.efer, decode_efer);
	bits_row(dump, "rflags", 8, regs.rflags, decode_rflags);
	pdptr_rows(dump, &sregs);
	debug_rows(dump, &debug);
	return 0;
}

static void field_row(const struct dump *dump, const struct thv_field *field)
{
	const char *name = vmcs_field_name(field->field);
	char unknown[32], text[DECODE_TEXT];

	snprintf(unknown, sizeof(unknown), "field %#06x", field->field);
	row(dump, name ? name : unknown, vmcs_field_digits(field->field), field->value,
	    vmcs_field_words(field->field, field->value, text, sizeof(text)));
}

static int dump_vmcs(const struct dump *dump)
{
	struct thv_field fields[MAX_FIELDS];
	int count, i;

	count = control_get_fields(dump->vm, dump->vcpu, fields, MAX_FIELDS);
	if (count < 0)
		return -1;
	for (i = 0; i < count && i < MAX_FIELDS; i++)
		field_row(dump, &fields[i]);
	return 0;
}

static int dump_events(const struct dump *dump)
{
	struct thv_event_state events;

	if (get(dump, THV_STATE_EVENTS, &events, sizeof(events)))
		return -1;
	decode_events(&events, words_row, (void *)dump);
	return 0;
}

static int dump_apic(const struct dump *dump)
{
	struct thv_apic apic;

	if (get(dump, THV_STATE_APIC, &apic, sizeof(apic)))
		return -1;
	decode_apic(&apic, words_row, (void *)dump);
	return 0;
}

static const struct decode_bit *msr_bits(u32 index)
{
	static const struct decode_bit none[] = { { ~0ULL, "" }, { 0 } };

	return index == 0xc0000080 ? decode_efer : index == 0x1b ? decode_apic_base : none;
}

/* One by one: a guest need not have each, and one that it has not cannot be read (-EINVAL) */
static int dump_msrs(const struct dump *dump)
{
	const struct decode_msr *known;
	struct thv_msr msr;
	int count;

	for (known = decode_msrs; known->name; known++) {
		msr = (struct thv_msr){ .index = known->index };
		count = control_get(dump->vm, dump->vcpu, THV_STATE_MSRS, &msr, sizeof(msr));
		if (count < 0 && errno != EINVAL)
			return -1;
		if (count > 0)
			bits_row(dump, known->name, 16, msr.value, msr_bits(known->index));
	}
	return 0;
}

/* As lines of text, or members of an array */
static void rule_rows(const struct dump *dump, char *rules)
{
	char *line, *rest = rules;

	while ((line = strtok_r(rest, "\n", &rest))) {
		if (dump->json)
			json_text(dump->json, NULL, line);
		else
			options_wrap(stdout, "", 2, line);
	}
}

static int dump_entry(const struct dump *dump)
{
	char rules[16384];
	int broken = control_explain(dump->vm, dump->vcpu, rules, sizeof(rules));

	if (broken < 0)
		return -1;
	if (!dump->json) {
		printf(broken ? "  its state breaks %d of the rules of VM entry:\n" :
				"  its state breaks none of the rules of VM entry\n", broken);
		rule_rows(dump, rules);
		return 0;
	}
	json_number(dump->json, "broken", broken);
	json_open(dump->json, "rules", '[');
	rule_rows(dump, rules);
	json_close(dump->json, ']');
	return 0;
}

/* ---- the command -------------------------------------------------------- */

static const struct {
	const char *name, *heading;
	int width;		/* of the names in its rows */
	int (*dump)(const struct dump *dump);
} sections[] = {
	{ "registers", "Registers", 0, dump_registers },
	{ "control", "Control and debug registers", 6, dump_control },
	{ "vmcs", "VMCS", 48, dump_vmcs },
	{ "entry", "Next entry", 0, dump_entry },
	{ "events", "Events", 0, dump_events },
	{ "apic", "Local APIC", 0, dump_apic },
	{ "msrs", "MSRs", 26, dump_msrs },
};

/* In the order of sections[], and one more */
static const char *const choices[] = {
	"registers", "control", "vmcs", "entry", "events", "apic", "msrs", "all", NULL
};

static const struct option_row options[] = {
	TARGET_VM,
	TARGET_VCPU,
	{ "section", "NAME", "what to show", option_choice, .choices = choices, .initial = "all",
	  .field = offsetof(struct dump_values, section) },
	{ "json", NULL, "print it as JSON", option_flag,
	  .field = offsetof(struct dump_values, json) },
	{ 0 }
};

static const struct option_status statuses[] = {
	{ 0, "it was shown" },
	{ STATUS_ERROR, "the vCPU could not be looked at; the reason was printed" },
	{ 0, NULL }
};

static int dump_section(struct dump *dump, size_t n, bool alone)
{
	int result;

	dump->width = sections[n].width;
	if (dump->json)
		json_open(dump->json, sections[n].name, '{');
	else if (!alone)
		printf("%s%s of vCPU %u\n", n ? "\n" : "", sections[n].heading, dump->vcpu);
	result = sections[n].dump(dump);
	if (dump->json)
		json_close(dump->json, '}');
	return result;
}

static int dump_chosen(struct dump *dump, u32 chosen)
{
	bool all = chosen == ARRAY_SIZE(sections);
	size_t n;

	for (n = 0; n < ARRAY_SIZE(sections); n++)
		if ((all || n == chosen) && dump_section(dump, n, !all))
			return -1;
	return 0;
}

static int show(int vm, void *opaque)
{
	const struct dump_values *values = opaque;
	struct json json = { .file = stdout };
	struct dump dump = { .vm = vm, .vcpu = values->target.vcpu,
			     .json = values->json ? &json : NULL };
	int result;

	if (!values->json)
		return dump_chosen(&dump, values->section);
	json_open(&json, NULL, '{');
	json_number(&json, "vcpu", dump.vcpu);
	result = dump_chosen(&dump, values->section);
	json_close(&json, '}');
	printf("\n");
	return result;
}

static int run(void *values)
{
	return target_do("dump", values, show);
}

const struct command cmd_dump = {
	.name = "dump",
	.summary = "show a vCPU: registers, VMCS, rules of entry it breaks, events, APIC, MSRs",
	.details = "Names are those of Intel's manual (SDM); bits that are set are named. The fields of the VMCS are those the processor has. Section `entry` names the rules by which the processor would refuse to enter the guest as it is; there should be none.\n\nEach section is one moment of the vCPU; `thv pause` before makes them all the same.\n\nExample: thv dump lab --section vmcs",
	.options = options,
	.statuses = statuses,
	.values_size = sizeof(struct dump_values),
	.run = run,
};
