// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest page walker. Four formats, one loop: what differs between them is in a table.
 * The walk has three steps, in the processor's order: find the entries, and fault where one is
 * not present or has a reserved bit; combine what they permit; ask whether that, in this mode,
 * allows the access. Then the entries' accessed and dirty flags are set, if the caller has a way to.
 *
 * Pure: no locks, no kernel; memory is read by the caller's function.
 */
#include <linux/bits.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/string.h>
#include <asm/msr-index.h>
#include <asm/processor-flags.h>
#include "walk.h"

/* An entry, alike in all formats (SDM tables 4-5 to 4-20) */
#define PTE_P		BIT_ULL(0)
#define PTE_W		BIT_ULL(1)
#define PTE_U		BIT_ULL(2)
#define PTE_A		BIT_ULL(5)
#define PTE_D		BIT_ULL(6)
#define PTE_PS		BIT_ULL(7)
#define PTE_XD		BIT_ULL(63)

/**
 * struct format - one of the guest's table formats (SDM 4.1.1).
 * @levels: of the walk, PDPTEs that the processor holds included.
 * @entry: bytes of an entry.
 * @index: bits of the address that index a table.
 * @large: bit n set: an entry of level n may be a page by its PS bit.
 * @address: bits of an entry that hold an address, as far as MAXPHYADDR goes.
 * @ignored: bits above them that the processor does not look at.
 */
struct format {
	unsigned int levels;
	unsigned int entry;
	unsigned int index;
	unsigned int large;
	u64 address;
	u64 ignored;
};

static const struct format formats[] = {
#define TWO_LEVEL	0
	{ 2, 4, 10, 0,			GENMASK_ULL(31, 12), 0 },
#define TWO_LEVEL_PSE	1
	{ 2, 4, 10, BIT(2),		GENMASK_ULL(31, 12), 0 },
#define PAE		2
	{ 3, 8, 9, BIT(2),		GENMASK_ULL(51, 12), 0 },
#define FOUR_LEVEL	3
	{ 4, 8, 9, BIT(2),		GENMASK_ULL(51, 12), GENMASK_ULL(62, 52) },
#define FOUR_LEVEL_1G	4
	{ 4, 8, 9, BIT(3) | BIT(2),	GENMASK_ULL(51, 12), GENMASK_ULL(62, 52) },
#define FIVE_LEVEL	5
	{ 5, 8, 9, BIT(2),		GENMASK_ULL(51, 12), GENMASK_ULL(62, 52) },
#define FIVE_LEVEL_1G	6
	{ 5, 8, 9, BIT(3) | BIT(2),	GENMASK_ULL(51, 12), GENMASK_ULL(62, 52) },
};

static const struct format *format_of(const struct thv_guest_paging *paging)
{
	if (!(paging->cr4 & X86_CR4_PAE))
		return &formats[paging->cr4 & X86_CR4_PSE ? TWO_LEVEL_PSE : TWO_LEVEL];
	if (!(paging->efer & EFER_LMA))
		return &formats[PAE];
	if (paging->cr4 & X86_CR4_LA57)
		return &formats[paging->gbyte_pages ? FIVE_LEVEL_1G : FIVE_LEVEL];
	return &formats[paging->gbyte_pages ? FOUR_LEVEL_1G : FOUR_LEVEL];
}

/**
 * thv_is_pae_paging() - Does the processor hold four PDPTEs in this mode (SDM 4.4.1)?
 * @paging: the mode.
 */
bool thv_is_pae_paging(const struct thv_guest_paging *paging)
{
	return (paging->cr0 & X86_CR0_PG) && format_of(paging) == &formats[PAE];
}

/* Bits from MAXPHYADDR up that no address may have */
static u64 beyond(u32 phys_bits)
{
	return GENMASK_ULL(63, 0) << phys_bits;
}

/**
 * thv_pdptr_valid() - May this be loaded as a PDPTE (SDM table 4-8)?
 * @pdptr: the entry.
 * @phys_bits: MAXPHYADDR.
 *
 * Return: false: a reserved bit is set in a present one, which is a #GP.
 */
bool thv_pdptr_valid(u64 pdptr, u32 phys_bits)
{
	u64 reserved = beyond(phys_bits) | GENMASK_ULL(8, 5) | GENMASK_ULL(2, 1);

	return !(pdptr & PTE_P) || !(pdptr & reserved);
}

/* ---- step 1: the entries ---- */

/* The lowest address bit that level @level translates */
static unsigned int shift_of(const struct format *format, unsigned int level)
{
	return 12 + (level - 1) * format->index;
}

static bool is_page(const struct format *format, u64 entry, unsigned int level)
{
	return level == 1 || ((format->large & BIT(level)) && (entry & PTE_PS));
}

/*
 * A 4 MiB page of 32-bit paging holds address bits 39:32 in 20:13, and what of those (and of
 * bit 21) MAXPHYADDR does not cover is reserved (SDM table 4-4, PSE-36).
 */
static u64 reserved_pse36(u32 phys_bits)
{
	u32 bits = min_t(u32, phys_bits, 40) - 32;

	return GENMASK_ULL(21, 13) & (GENMASK_ULL(63, 0) << (13 + bits));
}

/* Bits that must be 0 in a present entry (SDM 4.3 to 4.5) */
static u64 reserved_bits(const struct thv_guest_paging *paging, const struct format *format,
			 u64 entry, unsigned int level)
{
	u64 reserved;

	if (format->entry == 4)
		return level == 2 && is_page(format, entry, level) ?
		       reserved_pse36(paging->phys_bits) : 0;
	/* PAE's level 3 was checked when it was loaded */
	if (format == &formats[PAE] && level == 3)
		return 0;
	reserved = beyond(paging->phys_bits) & ~format->ignored & ~PTE_XD;
	if (!(paging->efer & EFER_NX))
		reserved |= PTE_XD;
	if (level > 1 && is_page(format, entry, level))
		reserved |= GENMASK_ULL(shift_of(format, level) - 1, 13);
	else if (level > 1 && !(format->large & BIT(level)))
		reserved |= PTE_PS;
	return reserved;
}

static u64 root_of(const struct thv_guest_paging *paging, const struct format *format)
{
	if (format == &formats[PAE])
		return paging->cr3 & GENMASK_ULL(31, 5);
	return paging->cr3 & format->address;
}

static int read_entry(const struct thv_guest_paging *paging, const struct thv_walk_memory *memory,
		      const struct format *format, struct thv_translate_level *at)
{
	if (format == &formats[PAE] && at->level == 3) {
		at->entry = paging->pdptr[at->address / 8 % 4];
		return 0;
	}
	return memory->read(memory->opaque, at->address, &at->entry, format->entry);
}

static u32 describe(const struct thv_guest_paging *paging, const struct format *format,
		    const struct thv_translate_level *at)
{
	u32 flags = THV_LEVEL_PRESENT;

	if (!(at->entry & PTE_P))
		return 0;
	if (is_page(format, at->entry, at->level))
		flags |= THV_LEVEL_LEAF;
	if (at->entry & reserved_bits(paging, format, at->entry, at->level))
		flags |= THV_LEVEL_RESERVED;
	return flags;
}

static bool is_user_access(u32 access)
{
	return (access & THV_ACCESS_USER) && !(access & THV_ACCESS_IMPLICIT);
}

/* A page fault, because of @cause: not present (0), a reserved bit, or no permission. */
static enum thv_walk_result fault(const struct thv_guest_paging *paging, u32 access, u32 cause,
				  struct thv_walk *walk)
{
	bool has_xd = (paging->cr4 & X86_CR4_PAE) && (paging->efer & EFER_NX);

	walk->error_code = cause;
	if (access & THV_ACCESS_WRITE)
		walk->error_code |= THV_PF_WRITE;
	if (is_user_access(access))
		walk->error_code |= THV_PF_USER;
	if ((access & THV_ACCESS_EXECUTE) && (has_xd || (paging->cr4 & X86_CR4_SMEP)))
		walk->error_code |= THV_PF_FETCH;
	return THV_WALK_FAULT;
}

/* Down to the page: walk->level[]. */
static enum thv_walk_result find_page(const struct thv_guest_paging *paging,
				      const struct thv_walk_memory *memory,
				      const struct format *format, u64 gla, u32 access,
				      struct thv_walk *walk)
{
	u64 table = root_of(paging, format);
	unsigned int level;

	for (level = format->levels; level; level--) {
		u64 index = gla >> shift_of(format, level) & (BIT_ULL(format->index) - 1);
		struct thv_translate_level *at = &walk->level[walk->levels++];

		at->level = level;
		at->address = table + index * format->entry;
		if (read_entry(paging, memory, format, at)) {
			walk->gpa = at->address;
			return THV_WALK_NO_TABLE;
		}
		at->flags = describe(paging, format, at);
		if (!at->flags)
			return fault(paging, access, 0, walk);
		if (at->flags & THV_LEVEL_RESERVED)
			return fault(paging, access, THV_PF_PRESENT | THV_PF_RESERVED, walk);
		if (at->flags & THV_LEVEL_LEAF)
			break;
		table = at->entry & format->address;
	}
	return THV_WALK_OK;
}

/* ---- step 2: what the entries say together ---- */

static u64 page_address(const struct format *format, const struct thv_translate_level *page)
{
	u64 address = page->entry & format->address;

	address &= ~(BIT_ULL(shift_of(format, page->level)) - 1);
	if (format->entry == 4 && page->level == 2)
		address |= (page->entry & GENMASK_ULL(20, 13)) << (32 - 13);
	return address;
}

/* Forbidden by one is forbidden (SDM 4.6). PAE's level 3 has no say. */
static u32 combine(const struct format *format, const struct thv_walk *walk)
{
	u64 all = PTE_W | PTE_U, any = 0;
	u32 i;

	for (i = format == &formats[PAE] ? 1 : 0; i < walk->levels; i++) {
		all &= walk->level[i].entry;
		any |= walk->level[i].entry;
	}
	return THV_ACCESS_READ | (all & PTE_W ? THV_ACCESS_WRITE : 0) |
	       (all & PTE_U ? THV_ACCESS_USER : 0) | (any & PTE_XD ? 0 : THV_ACCESS_EXECUTE);
}

/* ---- step 3: does that allow the access? SDM 4.6.1 ---- */

/* SMEP and SMAP: supervisor code has no business in user pages. */
static bool supervisor_may_use_user_page(const struct thv_guest_paging *paging, u32 access)
{
	bool data = !(access & THV_ACCESS_EXECUTE) ||
		    (access & (THV_ACCESS_READ | THV_ACCESS_WRITE));
	bool trusted = (paging->rflags & X86_EFLAGS_AC) && !(access & THV_ACCESS_IMPLICIT);

	if ((access & THV_ACCESS_EXECUTE) && (paging->cr4 & X86_CR4_SMEP))
		return false;
	return !data || !(paging->cr4 & X86_CR4_SMAP) || trusted;
}

static bool allowed(const struct thv_guest_paging *paging, u32 permissions, u32 access)
{
	bool by_user = is_user_access(access);

	if (by_user && !(permissions & THV_ACCESS_USER))
		return false;
	if (!by_user && (permissions & THV_ACCESS_USER) &&
	    !supervisor_may_use_user_page(paging, access))
		return false;
	if ((access & THV_ACCESS_WRITE) && !(permissions & THV_ACCESS_WRITE) &&
	    (by_user || (paging->cr0 & X86_CR0_WP)))
		return false;
	return !(access & THV_ACCESS_EXECUTE) || (permissions & THV_ACCESS_EXECUTE);
}

/* ---- step 4: accessed and dirty, SDM 4.8 ---- */

/*
 * An entry that is not any more what the walk went by may lead elsewhere now: its flags are not
 * set, and all begins again. A PDPTE has no flags.
 */
static enum thv_walk_result set_flags(const struct thv_walk_memory *memory,
				      const struct format *format, u32 access,
				      struct thv_walk *walk)
{
	u32 i;

	for (i = format == &formats[PAE] ? 1 : 0; i < walk->levels; i++) {
		struct thv_translate_level *at = &walk->level[i];
		bool written = (at->flags & THV_LEVEL_LEAF) && (access & THV_ACCESS_WRITE);
		u64 new = at->entry | PTE_A | (written ? PTE_D : 0);
		int err;

		if (new == at->entry)
			continue;
		err = memory->update(memory->opaque, at->address, at->entry, new, format->entry);
		if (err == -EAGAIN)
			return THV_WALK_CHANGED;
		if (err && err != -EROFS) {
			walk->gpa = at->address;
			return THV_WALK_NO_FLAGS;
		}
		if (!err)
			at->entry = new;
	}
	return THV_WALK_OK;
}

/* SDM 3.3.7.1: the bits above those that are translated repeat the highest of them */
static bool is_address(const struct thv_guest_paging *paging, u64 gla)
{
	unsigned int spare = paging->cr4 & X86_CR4_LA57 ? 64 - 57 : 64 - 48;

	if (!(paging->efer & EFER_LMA))
		return gla <= U32_MAX;
	return (u64)((s64)(gla << spare) >> spare) == gla;
}

/**
 * thv_walk() - Translate a linear address as the processor would.
 * @paging: the mode.
 * @memory: guest memory.
 * @gla: the address.
 * @access: THV_ACCESS_*; none of READ, WRITE and EXECUTE is a read.
 * @walk: out; all of it, levels that were reached included.
 *
 * Context: that of @memory's read function.
 * Return: what became of it.
 */
enum thv_walk_result thv_walk(const struct thv_guest_paging *paging,
			      const struct thv_walk_memory *memory, u64 gla, u32 access,
			      struct thv_walk *walk)
{
	const struct format *format = format_of(paging);
	const struct thv_translate_level *page;
	enum thv_walk_result result;

	memset(walk, 0, sizeof(*walk));
	if (!is_address(paging, gla))
		return THV_WALK_NON_CANONICAL;
	if (!(paging->cr0 & X86_CR0_PG)) {
		walk->gpa = gla;
		walk->page_size = BIT_ULL(32);
		walk->permissions = THV_ACCESS_READ | THV_ACCESS_WRITE | THV_ACCESS_EXECUTE |
				    THV_ACCESS_USER;
		return THV_WALK_OK;
	}

	result = find_page(paging, memory, format, gla, access, walk);
	if (result != THV_WALK_OK)
		return result;
	page = &walk->level[walk->levels - 1];
	walk->page_size = BIT_ULL(shift_of(format, page->level));
	walk->permissions = combine(format, walk);
	if (!allowed(paging, walk->permissions, access))
		return fault(paging, access, THV_PF_PRESENT, walk);
	walk->gpa = page_address(format, page) | (gla & (walk->page_size - 1));
	return memory->update ? set_flags(memory, format, access, walk) : THV_WALK_OK;
}
