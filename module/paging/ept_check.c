// SPDX-License-Identifier: GPL-2.0-only
/*
 * Would the processor call our tables misconfigured (SDM 29.3.3.1)? It must never come to that: an
 * EPT misconfiguration is the end of the VM. A debug build looks at the way to a frame after each
 * change of it, and at the whole tree when slots change; the rules are tested natively.
 *
 * Lock: the tables' owner's, at least for reading.
 */
#include <linux/kernel.h>
#include <linux/io.h>
#include <asm/vmx.h>
#include "ept.h"

#define RESERVED_TYPES	(BIT(2) | BIT(3) | BIT(7))	/* of memory, SDM 29.3.3.1 */

/* Bits that must be 0 in an entry that points to a table (SDM tables 29-1, 29-3, 29-5) */
static u64 reserved_in_table(unsigned int level)
{
	return level == 4 ? GENMASK_ULL(7, 3) : GENMASK_ULL(6, 3);
}

/* ... in a large page (tables 29-2, 29-4): the address is aligned */
static u64 reserved_in_page(unsigned int level)
{
	return level > 1 ? GENMASK_ULL(11 + (level - 1) * THV_TABLE_BITS, 12) : 0;
}

static bool is_page(u64 entry, unsigned int level)
{
	return level == 1 || (level < 4 && (entry & THV_EPT_LARGE));
}

static bool size_is_offered(const struct thv_ept_rules *rules, unsigned int level)
{
	static const u64 feature[] = { [2] = THV_FEATURE_EPT_2M, [3] = THV_FEATURE_EPT_1G };

	return level == 1 || (rules->features & feature[level]);
}

static const char *wrong_page(const struct thv_ept_rules *rules, u64 entry, unsigned int level)
{
	unsigned int type = (entry & VMX_EPT_MT_MASK) >> VMX_EPT_MT_EPTE_SHIFT;

	if (!size_is_offered(rules, level))
		return "a page of a size that the processor does not have";
	if (entry & reserved_in_page(level))
		return "the address of a large page is not aligned";
	if (BIT(type) & RESERVED_TYPES)
		return "a reserved memory type";
	/* Not a misconfiguration, but not what ept_leaf() makes either */
	return type == THV_EPT_WRITE_BACK ? NULL : "a memory type other than write-back";
}

/**
 * thv_ept_misconfigured() - What is wrong with an entry?
 * @rules: of the processor.
 * @entry: the entry.
 * @level: of its table; 1 is the lowest.
 *
 * Return: a sentence; NULL: nothing.
 */
const char *thv_ept_misconfigured(const struct thv_ept_rules *rules, u64 entry, unsigned int level)
{
	u64 access = entry & VMX_EPT_RWX_MASK;

	if (!access)
		return NULL;
	if ((access & (VMX_EPT_READABLE_MASK | VMX_EPT_WRITABLE_MASK)) == VMX_EPT_WRITABLE_MASK)
		return "writable but not readable";
	if (access == VMX_EPT_EXECUTABLE_MASK && !(rules->features & THV_FEATURE_EPT_EXECUTE_ONLY))
		return "execute-only, which the processor does not have";
	if (entry & THV_EPT_ADDRESS & ~GENMASK_ULL(rules->phys_bits - 1, 0))
		return "an address wider than the processor's";
	if (is_page(entry, level))
		return wrong_page(rules, entry, level);
	return entry & reserved_in_table(level) ? "a reserved bit is set in what points to a table" :
						  NULL;
}

/**
 * thv_ept_check_path() - ... with the entries on the way to a frame.
 * @tables: in EPT format.
 * @rules: of the processor.
 * @gfn: the frame.
 */
const char *thv_ept_check_path(const struct thv_tables *tables, const struct thv_ept_rules *rules,
			       u64 gfn)
{
	struct thv_translate_level path[5];
	u32 i, n = thv_table_trace(tables, gfn, path);
	const char *why = NULL;

	for (i = 0; i < n && !why; i++)
		why = thv_ept_misconfigured(rules, path[i].entry, path[i].level);
	return why;
}

/* The whole tree, and what it holds */
struct census {
	const struct thv_tables *tables;
	const struct thv_ept_rules *rules;
	unsigned long nr;
	unsigned long mapped;
};

static const char *check_table(struct census *census, const u64 *table, unsigned int level)
{
	const struct thv_table_format *format = census->tables->format;
	const char *why = NULL;
	unsigned int i;

	for (i = 0; i < THV_TABLE_ENTRIES && !why; i++) {
		u64 entry = READ_ONCE(table[i]);

		why = thv_ept_misconfigured(census->rules, entry, level);
		if (why || !(entry & format->present))
			continue;
		if (!thv_table_is_leaf(format, entry, level)) {
			census->nr++;
			why = check_table(census, phys_to_virt(entry & format->address), level - 1);
		} else if (!(entry & THV_ENTRY_PRIVATE)) {
			census->mapped += thv_table_frames(level);
		}
	}
	return why;
}

/**
 * thv_ept_check_tree() - ... with any entry there is, or with the books that table.c keeps.
 * @tables: in EPT format.
 * @rules: of the processor.
 */
const char *thv_ept_check_tree(const struct thv_tables *tables, const struct thv_ept_rules *rules)
{
	struct census census = { .tables = tables, .rules = rules };
	const char *why = check_table(&census, tables->root, tables->format->levels);

	if (!why && census.nr != tables->nr)
		why = "the number of its tables is wrong";
	if (!why && census.mapped != tables->mapped)
		why = "the number of its pages is wrong";
	return why;
}
