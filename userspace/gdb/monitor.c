// SPDX-License-Identifier: GPL-2.0-only
/* gdb's `monitor COMMAND`: what thv knows and gdb has no words for. */
#include <stdlib.h>
#include <string.h>

#include "gdb/server.h"
#include "lib/device.h"
#include "lib/walk.h"
#include "vmm/machine.h"
#include "vmm/vcpu.h"

static bool show_registers(struct vcpu *vcpu, const char *text, FILE *file)
{
	if (*text)
		return false;
	vcpu_dump(vcpu, file);
	return true;
}

/* As `thv walk` shows it; the launcher may know host addresses if it is root */
static bool show_walk(struct vcpu *vcpu, const char *text, FILE *file)
{
	struct walk walk = {
		.vcpu = vcpu->id, .segment = THV_DS, .access = THV_ACCESS_READ,
		.rflags = vcpu->run->regs.rflags, .apic_base = vcpu->run->apic_base,
	};
	char *end;

	walk.offset = strtoull(text, &end, 0);
	if (end == text || *end ||
	    vcpu_get(vcpu->fd, THV_STATE_SREGS, &walk.sregs, sizeof(walk.sregs)) < 0)
		return false;
	walk_begin(&walk);
	if (vcpu_translate(vcpu->fd, &walk.translate) < 0)
		return false;
	walk_print(&walk, file);
	return true;
}

static bool show_help(struct vcpu *vcpu, const char *text, FILE *file);

static const struct {
	const char *word, *help;
	bool (*show)(struct vcpu *vcpu, const char *text, FILE *file);
} commands[] = {
	{ "help", "this list", show_help },
	{ "registers", "all registers, and the instructions at RIP", show_registers },
	{ "walk ", "ADDRESS: its way through the guest's tables and thv's", show_walk },
};

static bool show_help(struct vcpu *vcpu, const char *text, FILE *file)
{
	size_t i;

	(void)vcpu;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		fprintf(file, "monitor %s%s%s\n", commands[i].word,
			commands[i].word[strlen(commands[i].word) - 1] == ' ' ? "" : ": ",
			commands[i].help);
	return !*text;
}

bool gdb_monitor(void *opaque, u32 id, const char *command, FILE *file)
{
	struct gdb *gdb = opaque;
	size_t i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (gdb_take_word(&command, commands[i].word))
			return commands[i].show(&gdb->machine->vcpu[id], command, file);
	return false;
}
