// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory for somebody who only looks, from whatever process: through the launcher's address
 * space, which need not be the caller's, and without giving the guest (and charging the
 * launcher for) memory that it has not yet used. Such memory holds zeros; so that is what is read.
 * What the host has swapped out it brings in; nothing is written, no copy-on-write is
 * broken. A page that is read counts as accessed by the launcher.
 *
 * The caller holds a reference to the users of vm->mm (mmget_not_zero()). Takes slots_srcu and
 * mmap_lock; any thread.
 */
#include <linux/highmem.h>
#include <linux/hugetlb.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include "compat.h"
#include "vm.h"

/*
 * Nothing is mapped at @hva. Is nothing there either? Of a file (a memfd), its page cache knows:
 * there is a page that is only not mapped, or a note of where it was swapped to, or nothing. Huge
 * pages of hugetlbfs are not swapped.
 */
static bool is_hole(const struct vm_area_struct *vma, u64 hva)
{
	u64 index = ((hva - vma->vm_start) >> PAGE_SHIFT) + vma->vm_pgoff;

	if (vma->vm_flags & VM_HUGETLB)
		return true;
	return vma->vm_file && !xa_load(&vma->vm_file->f_mapping->i_pages, index);
}

/* The page at @hva, with a reference, or NULL for one that holds zeros. mmap_lock is held. */
static int find_page(struct mm_struct *mm, u64 hva, struct page **page)
{
	const struct vm_area_struct *vma = find_vma(mm, hva);
	long n;

	*page = NULL;
	if (!vma || hva < vma->vm_start || !(vma->vm_flags & VM_READ) ||
	    (vma->vm_flags & (VM_IO | VM_PFNMAP)))
		return -EFAULT;
	if (thv_get_remote_page(mm, hva, FOLL_NOFAULT, page) == 1)
		return 0;
	*page = NULL;
	if (is_hole(vma, hva))
		return 0;
	/* With FOLL_DUMP a hole in anonymous memory is -EFAULT, and stays one */
	n = thv_get_remote_page(mm, hva, FOLL_DUMP | FOLL_HWPOISON, page);
	if (n == 1)
		return 0;
	*page = NULL;
	return n == -EFAULT && vma_is_anonymous((struct vm_area_struct *)vma) ? 0 : -EFAULT;
}

static int peek_user(struct mm_struct *mm, u64 hva, void *data, size_t len)
{
	struct page *page;
	void *from;
	int err;

	if (mmap_read_lock_killable(mm))
		return -EINTR;
	err = find_page(mm, hva, &page);
	mmap_read_unlock(mm);
	if (err)
		return err;
	if (!page) {
		memset(data, 0, len);
		return 0;
	}
	from = kmap_local_page(page);
	memcpy(data, from + offset_in_page(hva), len);
	kunmap_local(from);
	put_page(page);
	return 0;
}

/* Within one page */
static int peek_piece(struct thv_vm *vm, u64 gpa, void *data, size_t len)
{
	struct thv_memory_map *map = &vm->memory;
	const struct thv_slot *slot;
	int idx, err = -ENXIO;

	idx = srcu_read_lock(&map->slots_srcu);
	slot = thv_slots_find(thv_memory_slots(map), gpa >> PAGE_SHIFT);
	if (slot)
		err = peek_user(vm->mm, thv_slot_hva(slot, gpa >> PAGE_SHIFT) +
				offset_in_page(gpa), data, len);
	srcu_read_unlock(&map->slots_srcu, idx);
	return err == -EFAULT ? -ENXIO : err;
}

/**
 * thv_peek_guest() - Read guest memory, and leave it as it is.
 * @vm: the VM; the caller keeps its address space alive.
 * @gpa: from where; any alignment, may cross slots.
 * @data: to where.
 * @len: bytes.
 *
 * Context: may sleep.
 * Return: 0; -ENXIO: not all of it is memory that the launcher could read; -EINTR: a fatal signal.
 */
int thv_peek_guest(struct thv_vm *vm, u64 gpa, void *data, size_t len)
{
	size_t n;
	int err = 0;

	for (; len && !err; gpa += n, data += n, len -= n) {
		n = min_t(size_t, len, PAGE_SIZE - offset_in_page(gpa));
		err = peek_piece(vm, gpa, data, n);
	}
	return err;
}
