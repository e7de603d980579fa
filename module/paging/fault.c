// SPDX-License-Identifier: GPL-2.0-only
/*
 * A second-level fault: the guest touched a guest-physical address for which there is no
 * translation, or one that does not permit it. Either it is memory, and the host is asked for the
 * page; or it is not, and the launcher is asked to act the device. Called by the vCPU's
 * thread, which is the launcher's: the address space at hand is the right one.
 *
 * Locks: none held on entry; mmu_lock taken for the moment of mapping. The protocol with the
 * MMU notifier is told at the top of notifier.c.
 */
#include <linux/cpu.h>
#include <linux/io.h>
#include <linux/mm.h>
#include <linux/pgtable.h>
#include "../compat.h"
#include "../debug.h"
#include "../eventfd.h"
#include "../trace.h"
#include "../vcpu.h"

/* ---- not memory: the launcher's turn ---- */

static enum thv_next mmio_exit(struct thv_vcpu *vcpu, const struct thv_fault *fault, u32 flags)
{
	struct thv_run *run = vcpu->run;

	/* Delivering an event touched it: there is no instruction that could be carried out */
	if (vcpu->events.reinject.valid) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNSUPPORTED);
		return thv_exit_unsupported(vcpu, THV_UNSUPPORTED_EVENT_MMIO, 0,
					    fault->gpa, fault->gla);
	}
	thv_count(vcpu, mmio);
	trace_thv_page_fault(vcpu, fault, THV_FAULT_MMIO);
	if (fault->gla_valid)
		flags |= THV_MMIO_GLA;
	if (fault->table)
		flags |= THV_MMIO_TABLE;
	trace_thv_mmio(vcpu, fault->gpa, fault->gla_valid ? fault->gla : 0, fault->access, flags);
	thv_backend->get_context(vcpu, &run->context);
	run->exit = THV_EXIT_MMIO;
	run->mmio = (struct thv_exit_mmio){
		.gpa = fault->gpa,
		.gla = fault->gla_valid ? fault->gla : 0,
		.access = fault->access,
		.flags = flags,
	};
	return THV_NEXT_USER;
}

static bool rings_doorbell(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	if (!(fault->access & THV_ACCESS_WRITE) || fault->table || vcpu->events.reinject.valid)
		return false;
	/*
	 * If the length turns out to be unknown, the launcher carries the write out and rings
	 * again: a doorbell says "look", and to look once too often does no harm.
	 */
	if (!thv_doorbell_mmio(vcpu->vm, fault->gpa) || !thv_skip_instruction(vcpu))
		return false;
	thv_count(vcpu, doorbells);
	trace_thv_page_fault(vcpu, fault, THV_FAULT_DOORBELL);
	return true;
}

static enum thv_next not_memory(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	if (fault->access & THV_ACCESS_EXECUTE) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNSUPPORTED);
		return thv_exit_unsupported(vcpu, THV_UNSUPPORTED_FETCH, 0,
					    fault->gpa, fault->gla);
	}
	if (rings_doorbell(vcpu, fault))
		return THV_NEXT_RESUME;
	return mmio_exit(vcpu, fault, 0);
}

/* ---- memory: ask the host, then map ---- */

/* A page as the host gave it, with a reference, and whether it may be written through */
struct host_page {
	struct page *page;
	bool writable;
};

/* The page, if the host's table has it and lets it be used in that way; a look, no more */
static bool have_page(u64 hva, bool write, bool may_write, struct host_page *got)
{
	got->writable = may_write;
	if (may_write && get_user_page_fast_only(hva, FOLL_WRITE, &got->page))
		return true;
	got->writable = false;
	return !write && get_user_page_fast_only(hva, 0, &got->page);
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

/*
 * Ask for the page at @hva. A write breaks copy-on-write and merging (KSM); a read must not, or
 * nothing would ever stay merged. But where the host's own table lets the page be written
 * already, the guest may as well, and saves the second fault.
 *
 * What the host maps without a struct page behind it, or to a device (VM_PFNMAP, VM_IO), the
 * slow path refuses with -EFAULT, and so do we: its lifetime and its permissions are nobody's
 * to follow from outside (CVE-2021-22543). The launcher gets THV_EXIT_MEMORY_FAULT.
 */
static int ask_host(u64 hva, bool write, bool may_write, struct host_page *got)
{
	unsigned int flags = FOLL_HWPOISON | THV_FOLL_INTERRUPTIBLE | (write ? FOLL_WRITE : 0);
	long n;

	if (have_page(hva, write, may_write, got))
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

/*
 * By which level's entry does the host map @hva: 3, 1 GiB; 2, 2 MiB; 1? Only its table knows: a
 * huge page may be mapped in pieces. With interrupts off no table on the way can be freed; each
 * entry is read once, as it may change under us. That the answer still holds when it is used, the
 * caller's check of the notifier's sequence makes sure.
 */
static unsigned int host_level(struct mm_struct *mm, unsigned long hva)
{
	unsigned int level = 1;
	unsigned long flags;
	pgd_t pgd;
	p4d_t p4d;
	pud_t pud;
	pmd_t pmd;

	local_irq_save(flags);
	pgd = READ_ONCE(*pgd_offset(mm, hva));
	if (pgd_none(pgd))
		goto out;
	p4d = READ_ONCE(*p4d_offset(&pgd, hva));
	if (p4d_none(p4d) || !p4d_present(p4d))
		goto out;
	pud = READ_ONCE(*pud_offset(&p4d, hva));
	if (pud_none(pud) || !pud_present(pud))
		goto out;
	if (pud_leaf(pud)) {
		level = 3;
		goto out;
	}
	pmd = READ_ONCE(*pmd_offset(&pud, hva));
	if (!pmd_none(pmd) && pmd_present(pmd) && pmd_leaf(pmd))
		level = 2;
out:
	local_irq_restore(flags);
	return level;
}

/*
 * On some processors a large page that code is fetched from can be made to hang the machine, by a
 * guest that changes the page's size under its own feet (CVE-2018-12207). There, large pages
 * are not executable; the first fetch from one splits it, and it stays split until the host
 * takes it back.
 */
bool thv_large_pages_hold_no_code(void)
{
	return boot_cpu_has_bug(X86_BUG_ITLB_MULTIHIT) && !cpu_mitigations_off();
}

/* Is an invalidation under way of anything in these user addresses? */
static bool invalidating(const struct thv_memory_map *map, u64 start, u64 end)
{
	return map->invalidating && start < map->invalid_end && map->invalid_start < end;
}

/* Is a page of this size around @gfn the slot's in whole, and at an address that fits? */
static bool fits(struct thv_vm *vm, const struct thv_slot *slot, u64 gfn, unsigned int level)
{
	u64 frames = thv_table_frames(level), first = gfn & ~(frames - 1);
	u64 hva = thv_slot_hva(slot, first);

	return first >= slot->gfn && first + frames <= slot->gfn + slot->pages &&
	       !(hva & ((frames << PAGE_SHIFT) - 1)) &&
	       !invalidating(&vm->memory, hva, hva + (frames << PAGE_SHIFT));
}

/*
 * Small pages in the way of a large one give way (thv_table_map()), but not where large ones hold no
 * code: there are small ones for that, and both would be made in turns.
 */
static unsigned int level_for(struct thv_vm *vm, const struct thv_slot *slot, u64 gfn, u32 access)
{
	unsigned int level = thv_memory_largest(vm);

	if (level == 1 || (slot->flags & THV_MEMORY_LOG_DIRTY) ||
	    ((access & THV_ACCESS_EXECUTE) && thv_large_pages_hold_no_code()))
		return 1;
	level = min(level, host_level(vm->mm, thv_slot_hva(slot, gfn)));
	while (level > 1 &&
	       (!fits(vm, slot, gfn, level) ||
		(thv_large_pages_hold_no_code() &&
		 !thv_table_room(&vm->memory.tables, gfn, level))))
		level--;
	return level;
}

/* Has the host, or who changes slots, been at it since @seq was noted? */
static bool stale(const struct thv_memory_map *map, u64 hva, unsigned long seq)
{
	lockdep_assert_held_write(&map->mmu_lock);
	return map->seq != seq || invalidating(map, hva, hva + 1);
}

/* What the mapping may permit, which can be more than was asked for. */
static u32 permitted(struct thv_memory_map *map, const struct thv_slot *slot,
		     const struct host_page *got, unsigned int level, bool write)
{
	bool log_by_fault = (slot->flags & THV_MEMORY_LOG_DIRTY) && !map->tables.format->dirty;
	u32 access = THV_ACCESS_READ;

	if (!(slot->flags & THV_MEMORY_NOEXEC) && (level == 1 || !thv_large_pages_hold_no_code()))
		access |= THV_ACCESS_EXECUTE;
	if (got->writable && (write || !log_by_fault))
		access |= THV_ACCESS_WRITE;
	return access;
}

/*
 * What is writable counts as written, from now on: when the host cleans the page, it
 * write-protects it first, which the notifier hears of, and the next write comes by here again. To
 * wait for the dirty flag would be too late: at a zap the host may have written the page out.
 * (Accessed it is already: asking the host for it said so.)
 */
static void tell_host_dirty(struct page *page)
{
	if (!PageReserved(page) && !PageDirty(page))
		set_page_dirty(page);
}

/* Under mmu_lock, with @got not stale. The level it was mapped at, or -EAGAIN. */
static int map_page(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn,
		    const struct host_page *got, u32 access)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	const struct thv_table_format *format = map->tables.format;
	unsigned int level = level_for(vcpu->vm, slot, gfn, access);
	u64 inside = gfn & (thv_table_frames(level) - 1);
	u32 allow = permitted(map, slot, got, level, access & THV_ACCESS_WRITE);
	u64 leaf = page_to_phys(got->page) - (inside << PAGE_SHIFT);
	int err;

	leaf |= format->leaf(level, allow);
	/* Where nobody logs, the processor need not find out that it is written */
	if ((allow & THV_ACCESS_WRITE) && !slot->dirty)
		leaf |= format->dirty;
	err = thv_table_map(&map->tables, gfn - inside, level, leaf);
	if (err)
		return err;
	if (allow & THV_ACCESS_WRITE)
		tell_host_dirty(got->page);
	if ((access & THV_ACCESS_WRITE) && slot->dirty && !format->dirty)
		set_bit(gfn - slot->gfn, slot->dirty);
	thv_count(vcpu, faults_mapped);
	if (level > 1)
		thv_count(vcpu, faults_huge);
	return level;
}

/* The page is in the table, at this level; or -EAGAIN, or the host has said no. */
static int resolve(struct thv_vcpu *vcpu, const struct thv_slot *slot, u64 gfn, u32 access,
		   unsigned long seq)
{
	bool may_write = !(slot->flags & THV_MEMORY_READONLY);
	struct thv_memory_map *map = &vcpu->vm->memory;
	u64 hva = thv_slot_hva(slot, gfn);
	struct host_page got;
	int err;

	err = ask_host(hva, access & THV_ACCESS_WRITE, may_write, &got);
	if (err)
		return err;
	err = thv_memory_fill(map);
	if (err)
		goto out;

	write_lock(&map->mmu_lock);
	if (stale(map, hva, seq) || !thv_tables_ready(&map->tables))
		err = -EAGAIN;
	else
		err = map_page(vcpu, slot, gfn, &got, access);
	if (THV_DEBUG)
		thv_memory_check(vcpu->vm, gfn);
	write_unlock(&map->mmu_lock);
out:
	/* Not pinned: from here on the notifier is what keeps the mapping right */
	put_page(got.page);
	return err;
}

/*
 * Where the processor has no accessed flags, a page that was asked about is parked (touched.c): it is
 * there, and this is its next use. The notifier has kept it right meanwhile.
 */
static bool was_parked(struct thv_vcpu *vcpu, u64 gfn, u32 access)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	const struct thv_table_format *format = map->tables.format;
	u64 needs = (access & THV_ACCESS_WRITE ? format->writable : 0) |
		    (access & THV_ACCESS_EXECUTE ? format->executable : 0);
	unsigned int level;

	if (format->accessed)
		return false;
	write_lock(&map->mmu_lock);
	level = thv_table_unpark(&map->tables, gfn, needs);
	if (THV_DEBUG && level)
		thv_memory_check(vcpu->vm, gfn);
	write_unlock(&map->mmu_lock);
	if (level)
		thv_count(vcpu, faults_unparked);
	return level;
}

static enum thv_next memory_fault_exit(struct thv_vcpu *vcpu, const struct thv_fault *fault,
				       const struct thv_slot *slot, int err)
{
	struct thv_run *run = vcpu->run;

	trace_thv_page_fault(vcpu, fault, THV_FAULT_MEMORY);
	run->exit = THV_EXIT_MEMORY_FAULT;
	run->memory_fault = (struct thv_exit_memory_fault){
		.gpa = fault->gpa,
		.hva = thv_slot_hva(slot, fault->gpa >> PAGE_SHIFT) + offset_in_page(fault->gpa),
		.access = fault->access,
		.error = -err,
	};
	return THV_NEXT_USER;
}

/*
 * A copy: a fault may wait for the host a long time (a userfaultfd's owner, say), and nobody
 * who changes slots shall wait with it. @seq tells whether it is still good.
 */
static bool copy_slot(struct thv_memory_map *map, u64 gfn, struct thv_slot *slot)
{
	int idx = srcu_read_lock(&map->slots_srcu);
	const struct thv_slot *found = thv_slots_find(thv_memory_slots(map), gfn);

	if (found)
		*slot = *found;
	srcu_read_unlock(&map->slots_srcu, idx);
	return found;
}

/**
 * thv_memory_no_page() - An access that would be right finds no page.
 * @vcpu: whose.
 * @fault: what it was about.
 * @err: why: -ENOMEM.
 *
 * Return: to user, with @vcpu->run filled in.
 */
enum thv_next thv_memory_no_page(struct thv_vcpu *vcpu, const struct thv_fault *fault, int err)
{
	struct thv_slot slot;

	if (!copy_slot(&vcpu->vm->memory, fault->gpa >> PAGE_SHIFT, &slot))
		slot = (struct thv_slot){ .gfn = fault->gpa >> PAGE_SHIFT };
	return memory_fault_exit(vcpu, fault, &slot, err);
}

/*
 * A thread of the host's is between its two calls of the notifier. Perhaps it has just lost its CPU,
 * to us: right before the second call the kernel looks whether somebody else should run. To ask
 * again and again would only keep it from its end. So wait for that; but not longer than a
 * jiffy, as others may have begun by then.
 */
static void let_host_finish(struct thv_memory_map *map)
{
	wait_event_interruptible_timeout(map->settled, !READ_ONCE(map->invalidating), 1);
	cond_resched();
}

static void count_by_kind(struct thv_vcpu *vcpu, u32 access)
{
	thv_count(vcpu, faults);
	if (access & THV_ACCESS_EXECUTE)
		thv_count(vcpu, faults_fetch);
	else if (access & THV_ACCESS_WRITE)
		thv_count(vcpu, faults_write);
	else
		thv_count(vcpu, faults_read);
}

/**
 * thv_memory_quick() - What can be done about a second-level fault with interrupts off: ring a doorbell.
 * @vcpu: whose; loaded, and this is its thread.
 * @fault: what it is about.
 *
 * Return: true, it has been, and the guest may go on; false, nothing has been done.
 */
bool thv_memory_quick(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	int idx = srcu_read_lock(&map->slots_srcu);
	bool memory;

	memory = thv_slots_find(thv_memory_slots(map), fault->gpa >> PAGE_SHIFT);
	srcu_read_unlock(&map->slots_srcu, idx);
	if (memory || !rings_doorbell(vcpu, fault))
		return false;
	count_by_kind(vcpu, fault->access);
	return true;
}

/**
 * thv_memory_fault() - Answer a second-level fault.
 * @vcpu: whose; loaded, and this is its thread.
 * @fault: what it was about.
 *
 * Context: may sleep.
 * Return: resume (mapped, a doorbell rung, or simply try again: the run loop looks at signals), or
 * to user with @vcpu->run filled in.
 */
enum thv_next thv_memory_fault(struct thv_vcpu *vcpu, const struct thv_fault *fault)
{
	struct thv_memory_map *map = &vcpu->vm->memory;
	unsigned long seq = smp_load_acquire(&map->seq);	/* before the slot is looked at */
	u64 gfn = fault->gpa >> PAGE_SHIFT;
	struct thv_slot slot;
	int err;

	count_by_kind(vcpu, fault->access);
	if (!copy_slot(map, gfn, &slot))
		return not_memory(vcpu, fault);
	if ((fault->access & THV_ACCESS_WRITE) && (slot.flags & THV_MEMORY_READONLY))
		return mmio_exit(vcpu, fault, THV_MMIO_READONLY);
	if ((fault->access & THV_ACCESS_EXECUTE) && (slot.flags & THV_MEMORY_NOEXEC))
		return memory_fault_exit(vcpu, fault, &slot, -EACCES);

	if (was_parked(vcpu, gfn, fault->access)) {
		trace_thv_page_fault(vcpu, fault, THV_FAULT_UNPARKED);
		return THV_NEXT_RESUME;
	}
	err = slot.flags & THV_SLOT_DYING ? -EAGAIN :
	      resolve(vcpu, &slot, gfn, fault->access, seq);
	if (err > 0) {
		trace_thv_page_fault(vcpu, fault, err);
		return THV_NEXT_RESUME;
	}
	if (err != -EAGAIN && err != -EINTR) {
		thv_count(vcpu, faults_refused);
		return memory_fault_exit(vcpu, fault, &slot, err);
	}
	trace_thv_page_fault(vcpu, fault, THV_FAULT_RETRY);
	if (err == -EAGAIN) {
		thv_count(vcpu, faults_retried);
		let_host_finish(map);
	}
	return THV_NEXT_RESUME;
}
