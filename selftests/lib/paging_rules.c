// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of paging, sentence by sentence as the manual has them: an entry is looked at bit by bit, an
 * access is a case of a list. Slow and plain on purpose: module/paging/walk.c combines masks.
 */
#include <string.h>
#include "paging_rules.h"

static bool is_32(const struct rules_question *q)
{
	return q->levels == 2;
}

static bool is_pae(const struct rules_question *q)
{
	return q->levels == 3;
}

/* Does this level's entry map a page, and not point to a table? */
static bool maps(const struct rules_question *q, unsigned int level, unsigned long long entry)
{
	if (level == 1)
		return true;
	if (!(entry & ENTRY_PS))
		return false;
	if (level == 2)
		return is_32(q) ? q->pse : true;
	return level == 3 && q->levels > 3 && q->gbyte;
}

/* Tables 4-5 (32-bit: a 4-KByte PTE and a PDE have none), 4-4 */
static bool is_reserved_32(const struct rules_question *q, unsigned int level, bool page,
			   unsigned int bit)
{
	if (level == 1 || !page)
		return false;
	if (bit == 21)
		return true;		/* bits 21:(M-19), and M is 40 at most */
	return bit >= 13 && bit < 21 && bit - 13 + 32 >= q->phys_bits;
}

/* Tables 4-9 to 4-12 (PAE), 4-14 to 4-20 */
static bool is_reserved_64(const struct rules_question *q, unsigned int level, bool page,
			   unsigned int bit)
{
	if (bit == 63)
		return !q->nxe;
	if (bit >= 52)
		return is_pae(q);	/* ignored, or a protection key, in 4-level paging */
	if (bit >= q->phys_bits)
		return true;
	if (bit == 7 && !page)
		return true;		/* a page of a size that there is not */
	if (page && level == 2)
		return bit >= 13 && bit <= 20;
	if (page && level == 3)
		return bit >= 13 && bit <= 29;
	return false;
}

/* Has an entry a reserved bit? Those of PAE's level 3 are checked when they are loaded (4.4.1). */
static bool is_bad(const struct rules_question *q, unsigned int level, unsigned long long entry)
{
	bool page = maps(q, level, entry);
	unsigned int bit;

	if (is_pae(q) && level == 3)
		return false;
	for (bit = 1; bit < (is_32(q) ? 32 : 64); bit++) {
		if (!(entry >> bit & 1))
			continue;
		if (is_32(q) ? is_reserved_32(q, level, page, bit) :
			       is_reserved_64(q, level, page, bit))
			return true;
	}
	return false;
}

/* ---- who may do what: SDM 4.6.1 ---- */

static bool supervisor_reads(const struct rules_question *q, bool user_page)
{
	if (!user_page)
		return true;		/* "may be read from any supervisor-mode address" */
	if (!q->smap)
		return true;		/* "If CR4.SMAP = 0, from any user-mode address" */
	return q->by != RULES_IMPLICIT && q->ac;
}

static bool supervisor_writes(const struct rules_question *q, bool user_page, bool writable)
{
	switch ((q->wp ? 2 : 0) + user_page) {
	case 0:			/* WP = 0, supervisor-mode address */
		return true;
	case 1:			/* WP = 0, user-mode address */
		return supervisor_reads(q, user_page);
	case 2:			/* WP = 1: "with a translation for which R/W is 1 in every entry" */
		return writable;
	default:
		return writable && supervisor_reads(q, user_page);
	}
}

static bool supervisor_fetches(const struct rules_question *q, bool user_page, bool xd)
{
	if (user_page && q->smep)
		return false;
	return !xd;
}

static bool is_allowed(const struct rules_question *q, const struct rules_answer *a)
{
	if (q->by == RULES_USER && !a->user)
		return false;
	if (q->kind == RULES_FETCH)
		return q->by == RULES_USER ? !a->xd : supervisor_fetches(q, a->user, a->xd);
	if (q->kind == RULES_WRITE)
		return q->by == RULES_USER ? a->writable :
					     supervisor_writes(q, a->user, a->writable);
	return q->by == RULES_USER || supervisor_reads(q, a->user);
}

/* SDM 4.7, figure 4-12; @cause: P and RSVD */
static void fault(const struct rules_question *q, struct rules_answer *answer, unsigned int cause)
{
	unsigned int code = cause;

	if (q->kind == RULES_WRITE)
		code += 2;
	if (q->by == RULES_USER)
		code += 4;
	if (q->kind == RULES_FETCH) {
		if (q->smep)
			code += 16;
		else if (q->nxe && !is_32(q))
			code += 16;
	}
	answer->fault = true;
	answer->error_code = code;
}

/*
 * SDM 4.8: accessed in each entry that was used, dirty in the one that maps the page; PDPTEs have none.
 * Whether an entry was "used" on a way that ended with a fault is not said, for those above the last.
 */
static void set_flags(const struct rules_question *q, struct rules_answer *answer)
{
	unsigned int level;

	for (level = q->levels; level >= answer->last; level--) {
		unsigned long long flags = ENTRY_A;

		if (is_pae(q) && level == 3)
			continue;
		if (level == answer->last && q->kind == RULES_WRITE)
			flags |= ENTRY_D;
		if (!answer->fault)
			answer->entry[level] |= flags;
		else if (level > answer->last)
			answer->open[level] |= ENTRY_A;
	}
}

/* Down to the page; false: there was a fault on the way */
static bool find_page(const struct rules_question *q, struct rules_answer *answer)
{
	unsigned int level;

	for (level = q->levels; level; level--) {
		unsigned long long entry = q->entry[level];

		answer->last = level;
		if (!(entry & ENTRY_P)) {
			fault(q, answer, 0);
			return false;
		}
		if (is_bad(q, level, entry)) {
			fault(q, answer, 9);
			return false;
		}
		if (!(is_pae(q) && level == 3)) {	/* the registers have no such flags */
			answer->user &= (entry & ENTRY_US) != 0;
			answer->writable &= (entry & ENTRY_RW) != 0;
			answer->xd |= !is_32(q) && (entry & ENTRY_XD);
		}
		if (maps(q, level, entry))
			break;
	}
	return true;
}

void rules_ask(const struct rules_question *q, struct rules_answer *answer)
{
	memset(answer, 0, sizeof(*answer));
	memcpy(answer->entry, q->entry, sizeof(answer->entry));
	answer->user = true;
	answer->writable = true;
	if (find_page(q, answer) && !is_allowed(q, answer))
		fault(q, answer, 1);
	set_flags(q, answer);
}

unsigned int rules_choose(unsigned long long *entry, unsigned long long flags, unsigned int choice)
{
	unsigned long long flag;
	unsigned int used = 0;

	for (; flags; flags &= flags - 1, used++) {
		flag = flags & -flags;
		*entry = choice >> used & 1 ? *entry | flag : *entry & ~flag;
	}
	return used;
}
