# SPDX-License-Identifier: GPL-2.0-only
#
# pause, resume, nmi, walk, dump, mem on the running guest. Its kernel is at the addresses that it was
# linked to (nokaslr): the text begins at TEXT.
TEXT=0xffffffff81000000

# The VM's number: the first that there is
find_vm() {
	id=1
	until ./thv mem $id 0 1 --physical >/dev/null 2>&1; do
		id=$((id + 1))
		[ $id -lt 100 ] || return 1
	done
}

# A number out of the JSON on stdin: number KEY, the first of that name
number() {
	tr ',{' '\n\n' | sed -n "s/^\"$1\":\([0-9]*\).*/\1/p" | head -n 1
}

rip() {
	./thv dump $id --section registers --json | number rip
}

walks() {
	./thv walk $id $TEXT --access execute >"$work/walk" || { cat "$work/walk"; return 1; }
	cat "$work/walk"
	for word in '64-bit mode, 4-level paging' 'PML4E' 'PDPTE' '-> 2 MiB page' 'guest-physical address 0x1000000' \
			'second level (EPT)' 'host-physical address' 'it works: a fetch succeeds'; do
		grep -qF -e "$word" "$work/walk" || { echo "no \"$word\""; return 1; }
	done
}

narrow() {
	! grep -E '^.{101}' "$work/walk"
}

# Each prints what it found and exits with 3
stops() {
	said=$1
	shift
	./thv walk $id "$@" >"$work/walk"
	[ $? -eq 3 ] && grep -qF -e "$said" "$work/walk" && return
	cat "$work/walk"
	return 1
}

# Physical and linear agree; and the banner is where .rodata begins, the first 2 MiB after the text
banner() {
	physical=$(./thv walk $id $TEXT --json | number physical)
	./thv mem $id $TEXT 64 | cut -c 18- >"$work/linear"
	./thv mem $id "$physical" 64 --physical | cut -c 18- >"$work/physical"
	cmp "$work/linear" "$work/physical" || return
	for at in 81c 81e 820 822; do
		./thv mem $id 0xffffffff${at}00000 4K | grep -q 'Linux version 6' && return
	done
	return 1
}

disassembles() {
	./thv mem $id "$(printf '0x%x' "$(rip_of_kernel)")" 64 --disassemble >"$work/code"
	cat "$work/code"
	[ "$(wc -l <"$work/code")" -ge 5 ] && ! grep -q '(bad)' "$work/code" && grep -q 'mov\|push\|call\|lea' "$work/code"
}

# Where a system call arrives: LSTAR
rip_of_kernel() {
	./thv dump $id --section msrs --json | number IA32_LSTAR
}

stands_still() {
	./thv pause $id || return
	before=$(./thv dump $id --section registers --json)
	sleep 1
	[ "$before" = "$(./thv dump $id --section registers --json)" ]
}

goes_on() {
	./thv resume $id && within 20 moved
}

moved() {
	[ "$before" != "$(./thv dump $id --section registers --json)" ]
}

# Nothing of the guest's hardware has sent it, and its kernel says so
nmis() {
	./thv nmi $id && within 20 grep -q 'NMI received for unknown reason' "$work/console"
}

dumps() {
	./thv dump $id >"$work/dump" || return
	for word in 'rip ffff' 'PE MP' 'NXE' 'Guest CS selector' 'EPT pointer (EPTP)' 'unrestricted-guest' \
			'Exit reason' 'LVT  ' 'IA32_LSTAR' '---- events'; do
		grep -qF -e "$word" "$work/dump" || { echo "no \"$word\" in"; cat "$work/dump"; return 1; }
	done
}

in_order() {
	./thv dump $id --section vmcs | awk '/^[0-9a-f]+ / { print $1 }' >"$work/order"
	sort "$work/order" | cmp - "$work/order" && [ "$(wc -l <"$work/order")" -gt 100 ]
}

refuses() {
	said=$1
	shift
	./thv "$@" >"$work/said" 2>&1
	[ $? -ne 0 ] && grep -q -e "$said" "$work/said" && return
	cat "$work/said"
	return 1
}

# As nobody: busybox's su wants a user, and there may be none
as_nobody() {
	chmod 666 /dev/thv
	setpriv --reuid=65534 --clear-groups ./thv "$@" 2>"$work/said" || busybox setuidgid nobody ./thv "$@" 2>"$work/said"
}

not_permitted() {
	! as_nobody walk $id 0 && grep -q 'not permitted' "$work/said" && return
	cat "$work/said"
	return 1
}

claim "the guest is found" find_vm
claim "thv walk follows the kernel's text through both levels" walks
claim "its lines have a hundred columns at most" narrow
claim "thv walk tells a page fault and its error code" stops '#PF, error code 0x' $TEXT --user
claim "... and a missing entry" stops 'is not present' 0x10
claim "... and who took the permission away" stops 'write was taken away by' $TEXT --access write
claim "... and an address that is none" stops 'not a canonical address' 0x8000000000000000
claim "... and what is no memory" stops 'no memory is there' 0xd0000000 --physical
claim "thv mem finds the kernel's banner, and what walk says is where it is" banner
claim "thv mem disassembles the kernel's way in" disassembles
claim "thv dump tells registers, bits, and the VMCS by its names" dumps
claim "the VMCS comes in the manual's order" in_order
claim "thv pause holds the guest" stands_still
claim "thv resume lets it go on" goes_on
claim "thv nmi sends one, and the guest takes it" nmis
claim "a VM that is not there is said not to be there" refuses 'there is no such VM' dump 4711
claim "a vCPU that is not there is said not to be there" refuses 'no such vCPU' dump $id --vcpu 63
claim "a bad address is refused by name" refuses 'ADDRESS 12z4: not an address' walk $id 12z4
if command -v setpriv >/dev/null || busybox --list 2>/dev/null | grep -q setuidgid; then
	claim "someone else's VM is not permitted" not_permitted
else
	skip "someone else's VM is not permitted" "no way to become another user here"
fi
