// SPDX-License-Identifier: GPL-2.0-only
/* A local APIC for people. */
#include "lib/apic.h"

#include <string.h>

#include "lib/bits.h"

#define ISR	0x100
#define TMR	0x180
#define IRR	0x200
#define TIMER	0x320
#define DIVIDE	0x3e0

static u32 get(const struct thv_apic *apic, u32 offset)
{
	u32 value;

	memcpy(&value, apic->regs + offset, sizeof(value));
	return value;
}

const char *apic_mode(const struct thv_apic *apic)
{
	if (!(apic->base & 1 << 11))
		return "disabled";
	return apic->base & 1 << 10 ? "x2APIC" : "xAPIC";
}

char *apic_vectors(const struct thv_apic *apic, u32 offset, char *text, size_t size)
{
	u32 vector;

	*text = 0;
	for (vector = 0; vector < 256; vector++)
		if (get(apic, offset + vector / 32 * 16) >> vector % 32 & 1)
			text_add(text, size, "%s%#x", *text ? " " : "", vector);
	if (!*text)
		text_add(text, size, "none");
	return text;
}

static const char *const deliveries[8] = {
	"fixed", "lowest", "SMI", "3", "NMI", "INIT", "start-up", "ExtINT",
};

static const char *const timer_modes[4] = { "one-shot", "periodic", "TSC-deadline", "reserved" };

char *apic_lvt_words(u32 entry, bool timer, char *text, size_t size)
{
	*text = 0;
	text_add(text, size, "%s vector %#x", entry >> 16 & 1 ? "masked" : "open", entry & 0xff);
	if (timer)
		text_add(text, size, " %s", timer_modes[entry >> 17 & 3]);
	else
		text_add(text, size, " %s%s", deliveries[entry >> 8 & 7],
			 entry >> 15 & 1 ? " level" : "");
	if (entry >> 12 & 1)
		text_add(text, size, " pending");
	return text;
}

static const struct {
	const char *name;
	u32 offset;
} lvt[] = {
	{ "timer", TIMER }, { "thermal", 0x330 }, { "performance", 0x340 }, { "LINT0", 0x350 },
	{ "LINT1", 0x360 }, { "error", 0x370 },
}, banks[] = {
	{ "in service (ISR)", ISR }, { "level-triggered (TMR)", TMR }, { "requested (IRR)", IRR },
}, words[] = {
	{ "ID", 0x20 }, { "version", 0x30 }, { "TPR", 0x80 }, { "PPR", 0xa0 }, { "LDR", 0xd0 },
	{ "DFR", 0xe0 }, { "SVR", 0xf0 }, { "ESR", 0x280 }, { "ICR", 0x300 }, { "ICR high", 0x310 },
};

static u32 divisor(const struct thv_apic *apic)
{
	u32 tdcr = get(apic, DIVIDE);

	return 1U << ((((tdcr & 3) | (tdcr >> 1 & 4)) + 1) & 7);
}

void apic_print(FILE *file, const struct thv_apic *apic)
{
	char text[1600];
	size_t i;

	fprintf(file, "mode %s%s, base %#llx, software-%s\n", apic_mode(apic),
		apic->base >> 8 & 1 ? " (bootstrap processor)" : "", apic->base,
		get(apic, 0xf0) >> 8 & 1 ? "enabled" : "disabled");
	for (i = 0; i < ARRAY_SIZE(words); i++)
		fprintf(file, "%9s %08x%s", words[i].name, get(apic, words[i].offset),
			i % 5 == 4 ? "\n" : "");
	for (i = 0; i < ARRAY_SIZE(banks); i++)
		fprintf(file, "%22s  %s\n", banks[i].name,
			apic_vectors(apic, banks[i].offset, text, sizeof(text)));
	for (i = 0; i < ARRAY_SIZE(lvt); i++)
		fprintf(file, "%18s LVT  %s\n", lvt[i].name,
			apic_lvt_words(get(apic, lvt[i].offset), !i, text, sizeof(text)));
	fprintf(file, "%22s  initial %u, current %u, divided by %u", "timer", get(apic, 0x380),
		get(apic, 0x390), divisor(apic));
	if (apic->timer_remaining)
		fprintf(file, ", fires in %llu ns", apic->timer_remaining);
	if (apic->tsc_deadline)
		fprintf(file, ", TSC deadline %llu", apic->tsc_deadline);
	fputc('\n', file);
}

void apic_json(struct json *json, const char *key, const struct thv_apic *apic)
{
	char text[1600];
	size_t i;

	json_open(json, key, '{');
	json_text(json, "mode", apic_mode(apic));
	json_number(json, "base", apic->base);
	json_number(json, "tsc_deadline", apic->tsc_deadline);
	json_number(json, "timer_remaining_ns", apic->timer_remaining);
	json_number(json, "timer_divisor", divisor(apic));
	for (i = 0; i < ARRAY_SIZE(words); i++)
		json_number(json, words[i].name, get(apic, words[i].offset));
	for (i = 0; i < ARRAY_SIZE(banks); i++)
		json_text(json, banks[i].name, apic_vectors(apic, banks[i].offset, text, sizeof(text)));
	for (i = 0; i < ARRAY_SIZE(lvt); i++)
		json_text(json, lvt[i].name,
			  apic_lvt_words(get(apic, lvt[i].offset), !i, text, sizeof(text)));
	json_close(json, '}');
}
