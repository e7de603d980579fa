/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a processor has to answer to one access through its page tables: a statement of SDM chapter 4
 * that owes nothing to the module's walker, for tests to hold the walker, a processor under EPT and
 * shadow paging against. Pure; unit/ and the kselftests compile the same file.
 */
#ifndef THV_SELFTEST_PAGING_RULES_H
#define THV_SELFTEST_PAGING_RULES_H

#include <stdbool.h>

#define RULES_LEVELS	5

/* Bits of an entry (SDM tables 4-5 to 4-20) */
#define ENTRY_P		(1ULL << 0)
#define ENTRY_RW	(1ULL << 1)
#define ENTRY_US	(1ULL << 2)
#define ENTRY_A		(1ULL << 5)
#define ENTRY_D		(1ULL << 6)
#define ENTRY_PS	(1ULL << 7)
#define ENTRY_XD	(1ULL << 63)

enum rules_kind { RULES_READ, RULES_WRITE, RULES_FETCH };

/* Who accesses: code at CPL 3, code below, or the processor itself (a descriptor table), at any CPL */
enum rules_by { RULES_USER, RULES_SUPERVISOR, RULES_IMPLICIT };

/**
 * struct rules_question - an access, the mode, and the entries on its way.
 * @levels: 2: 32-bit paging, 3: PAE, 4, 5.
 * @gbyte: CPUID offers pages of 1 GiB.
 * @phys_bits: MAXPHYADDR.
 * @pse, @wp, @smep, @smap, @nxe, @ac: bits of CR4, CR0, CR4, CR4, EFER, RFLAGS.
 * @entry: by level; 1 is the lowest. Of PAE's level 3 what was loaded, which was in order.
 */
struct rules_question {
	unsigned int levels;
	bool gbyte;
	unsigned int phys_bits;
	bool pse, wp, smep, smap, nxe, ac;
	enum rules_kind kind;
	enum rules_by by;
	unsigned long long entry[RULES_LEVELS + 1];
};

/**
 * struct rules_answer - what becomes of it.
 * @fault: #PF with @error_code.
 * @last: level of the last entry that the processor looked at.
 * @user, @writable, @xd: what the entries say together; if none was missing or bad.
 * @entry: the entries afterwards.
 * @open: of each entry, bits that the manual leaves to the processor.
 */
struct rules_answer {
	bool fault;
	unsigned int error_code;
	unsigned int last;
	bool user, writable, xd;
	unsigned long long entry[RULES_LEVELS + 1];
	unsigned long long open[RULES_LEVELS + 1];
};

void rules_ask(const struct rules_question *q, struct rules_answer *answer);

/* For all combinations: bits n up of @choice decide about @flags, one each; how many */
unsigned int rules_choose(unsigned long long *entry, unsigned long long flags, unsigned int choice);

#endif
