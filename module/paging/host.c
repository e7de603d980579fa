// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a fault asks of the host: for the page at a user address; how its own table maps that; and that
 * a page be counted as written.
 *
 * Called by the vCPU's thread, which is the launcher's: the address space at hand is the right one.
 * Nothing that is learned here stays true by itself: notifier.c's protocol makes it so.
 */
#include <linux/mm.h>
#include <linux/pgtable.h>
#include "../compat.h"
#include "host.h"

/* ---- its table ---- */

/*
 * Follow the host's table to @hva. The caller has interrupts off: so no table on the way can be freed.
 * Each entry is read once, as it may change meanwhile.
 *
 * Return: by which level's entry it is mapped: 3, 1 GiB; 2, 2 MiB; 1: by one of the table that *@table
 * points to, if that is present; 0: there is no such table.
 */
static unsigned int walk(struct mm_struct *mm, unsigned long hva, pmd_t *table)
{
	pgd_t pgd = READ_ONCE(*pgd_offset(mm, hva));
	p4d_t p4d;
	pud_t pud;

	if (pgd_none(pgd))
		return 0;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		return 0;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		return 0;
	if (pud_leaf(pud))
		return 3;
	*table = READ_ONCE(*pmd_offset(&pud, hva));
	if (pmd_none(*table) || !pmd_present(*table))
		return 0;
	return pmd_leaf(*table) ? 2 : 1;
}

/**
 * thv_host_level() - By which level's entry does the host map an address?
 * @mm: the launcher's.
 * @hva: the address.
 *
 * Only its table knows: a huge page may be mapped in pieces.
 *
 * Return: 3, 1 GiB; 2, 2 MiB; 1: by a small page, or not at all.
 */
unsigned int thv_host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned int level;
	unsigned long flags;
	pmd_t table;

	local_irq_save(flags);
	level = walk(mm, hva, &table);
	local_irq_restore(flags);
	return level ?: 1;
}

/* thv_host_present() of pages that one table, or one large entry, is about */
static unsigned long present_there(struct mm_struct *mm, unsigned long hva, unsigned int count)
{
	unsigned long flags, present = 0;
	const pte_t *pte;
	unsigned int i;
	pmd_t table;

	local_irq_save(flags);
	switch (walk(mm, hva, &table)) {
	case 0:
		break;
	case 1:
		pte = pte_offset_kernel(&table, hva);
		for (i = 0; i < count; i++)
			if (pte_present(READ_ONCE(pte[i])))
				present |= BIT(i);
		break;
	default:
		present = GENMASK(count - 1, 0);
	}
	local_irq_restore(flags);
	return present;
}

/**
 * thv_host_present() - Which of a few pages, one after the other, are in the host's table?
 * @mm: the launcher's.
 * @hva: the first.
 * @count: how many; at most as a long has bits.
 *
 * Return: a bit for each.
 */
unsigned long thv_host_present(struct mm_struct *mm, unsigned long hva, unsigned int count)
{
	unsigned int here = min_t(unsigned long, count, (PMD_SIZE - (hva & ~PMD_MASK)) >> PAGE_SHIFT);
	unsigned long present = present_there(mm, hva, here);

	if (here < count)
		present |= present_there(mm, hva + here * PAGE_SIZE, count - here) << here;
	return present;
}

/* ---- its pages ---- */

/**
 * thv_host_have() - Take pages, one after the other, as far as the host's table has them; a look, no more.
 * @hva: the first one's address.
 * @count: how many.
 * @write: only such as may be written through.
 * @may_write: rather such.
 * @pages: out; the caller puts them.
 * @writable: out: may they be written through?
 *
 * Context: any.
 * Return: how many there are from @hva on, all of them writable or none.
 */
unsigned int thv_host_have(u64 hva, unsigned int count, bool write, bool may_write,
			   struct page **pages, bool *writable)
{
	int got = may_write ? get_user_pages_fast_only(hva, count, FOLL_WRITE, pages) : 0;

	*writable = got > 0;
	if (got <= 0 && !write)
		got = get_user_pages_fast_only(hva, count, 0, pages);
	return max(got, 0);
}

static bool have_page(u64 hva, bool write, bool may_write, struct thv_host_page *got)
{
	return thv_host_have(hva, 1, write, may_write, &got->page, &got->writable);
}

/*
 * One page fault, with mmap_lock; 0: done, or not one that the launcher itself could have. That gets the
 * kernel's own sentence when the page is asked for.
 */
static vm_fault_t fault_at(struct mm_struct *mm, unsigned long hva, unsigned int flags)
{
	unsigned long need = flags & FAULT_FLAG_WRITE ? VM_WRITE : VM_READ;
	struct vm_area_struct *vma = vma_lookup(mm, hva);

	if (!vma || !(vma->vm_flags & need) || vma->vm_flags & (VM_IO | VM_PFNMAP))
		return 0;
	return handle_mm_fault(vma, hva, flags, NULL);
}

/*
 * The page fault that the launcher would have at @hva; get_user_pages() comes to the same, in a thousand
 * instructions more. Any signal ends a wait (for a disk, for the owner of a userfaultfd).
 *
 * Return: 0, the page can be asked for (and may be refused); -EINTR.
 */
static int fault_in(u64 hva, bool write)
{
	unsigned int flags = FAULT_FLAG_DEFAULT | (write ? FAULT_FLAG_WRITE : 0);
	struct mm_struct *mm = current->mm;
	vm_fault_t fault;

	do {
		if (mmap_read_lock_killable(mm))
			return -EINTR;
		fault = fault_at(mm, hva, flags);
		if (!(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED)))
			mmap_read_unlock(mm);	/* else it has been dropped */
		flags |= FAULT_FLAG_TRIED;
	} while ((fault & VM_FAULT_RETRY) && !signal_pending(current));
	return fault & VM_FAULT_RETRY ? -EINTR : 0;
}

/**
 * thv_host_ask() - Ask the host for a page, as if the launcher touched it.
 * @hva: its address.
 * @write: to write; that breaks copy-on-write and merging (KSM). A read must not, or nothing would ever
 *	stay merged.
 * @may_write: it would do no harm if it could be written: where the host's own table permits that
 *	already, the guest may as well, and saves the second fault.
 * @got: out; the caller puts the page when it is done.
 *
 * What the host maps without a struct page behind it, or to a device (VM_PFNMAP, VM_IO), the
 * slow path refuses with -EFAULT, and so do we: its lifetime and its permissions are nobody's
 * to follow from outside (CVE-2021-22543). The launcher gets THV_EXIT_MEMORY_FAULT.
 *
 * Context: may sleep, for long.
 * Return: 0; -EINTR, there is a signal; -EFAULT, -EHWPOISON, -ENOMEM: the host gives no page.
 */
int thv_host_ask(u64 hva, bool write, bool may_write, struct thv_host_page *got)
{
	unsigned int flags = FOLL_HWPOISON | THV_FOLL_INTERRUPTIBLE | (write ? FOLL_WRITE : 0);
	long n;

	/* A look at the table is half of what it takes have_page() to find that there is nothing */
	got->there = thv_host_present(current->mm, hva, 1) && have_page(hva, write, may_write, got);
	if (got->there)
		return 0;
	if (fault_in(hva, write))
		return -EINTR;
	if (have_page(hva, write, may_write, got))
		return 0;
	got->writable = write;
	n = get_user_pages_unlocked(hva, 1, &got->page, flags);
	if (n != 1)
		return n < 0 ? n : -EFAULT;
	return 0;
}

/**
 * thv_host_tell_dirty() - Count a page as written.
 * @page: it; with a reference, or mapped.
 *
 * What the guest may write counts as written, from then on: when the host cleans the page, it
 * write-protects it first, which the notifier hears of, and the next write is a fault again. To
 * wait for the dirty flag would be too late: at a zap the host may have written the page out.
 */
void thv_host_tell_dirty(struct page *page)
{
	if (!PageReserved(page) && !PageDirty(page))
		set_page_dirty(page);
}

/**
 * thv_host_writes_out() - Is it all the same to the host whether a page counts as written?
 * @page: it.
 *
 * It is, if the page does already, or if there is no copy of it and the host would have to write it to swap
 * before its frame can be another's. It is not for a page that the launcher has freed (MADV_FREE), or
 * that has come back from swap and not been written since.
 */
bool thv_host_writes_out(struct page *page)
{
	struct folio *folio = page_folio(page);

	return folio_test_dirty(folio) ||
	       (folio_test_anon(folio) && folio_test_swapbacked(folio) && !folio_test_swapcache(folio));
}
