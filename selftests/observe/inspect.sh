# SPDX-License-Identifier: GPL-2.0-only
# thv pause, resume, nmi, walk, dump, mem, stop and kill; read by observe/run

text=0xffffffff81000000		# where Linux is without KASLR

stands_still() {
	registers >"$work/before" || return
	sleep 1
	registers | diff "$work/before" -
}

# Its kernel isolates its tables (PTI): its text is not mapped while user mode runs. So hold it at a
# moment that is the kernel's.
hold_in_kernel() {
	tries=0
	until ./thv pause $vm && ./thv mem $vm $text 16 >/dev/null 2>&1; do
		./thv resume $vm || return
		tries=$((tries + 1))
		[ $tries -lt 200 ] || return 1
	done
}

# One line, opened and closed; that the writer's JSON is sound is tested natively
json() {
	says '^[{[].*[]}]$' "$@" --json
}

no_vm() {
	verb=$1
	shift
	refuses 'no such VM\|no VM\|not the number' ./thv "$verb" nobody "$@"
}

# Another guest, which need not get far, to be ended by COMMAND; its launcher's status is to be STATUS
ended_by() {
	./thv run --kernel guest/vmlinuz --initrd guest/initramfs.cpio --mem 128M --name victim \
		>"$work/victim" 2>&1 &
	victim=$!
	within 30 eval './thv dump victim --section events >/dev/null 2>&1' && ./thv "$1" victim
	asked=$?
	[ $asked -eq 0 ] || kill -TERM $victim
	wait $victim
	ended=$?
	cat "$work/victim"
	[ $asked -eq 0 ] && [ $ended -eq "$2" ]
}

claim "a guest that runs moves" moves
claim "thv pause holds it, in its kernel" hold_in_kernel
claim "... and the guest stands still, in all its registers" stands_still
claim "... and its memory can be looked at" says '^ffffffff81000000  ' ./thv mem $vm $text 16
claim "thv walk shows the guest's tables" says 'PML4\[511\] .* table at 0x' \
	./thv walk $vm $text --access execute
claim "... which end in a page" says ' page at 0x' ./thv walk $vm $text --access execute
claim "... that the supervisor may execute" says '^permissions .*execute' ./thv walk $vm $text
claim "... and no user" says 'user taken away by' ./thv walk $vm $text
claim "... in memory" says '^host-virtual  *0x' ./thv walk $vm $text
claim "... the second level, too" says '^second level  *EPT' ./thv walk $vm $text
claim "... and that the processor does it alone" \
	says "an instruction fetch by the supervisor is done by the processor" \
	./thv walk $vm $text --access execute
claim "a user's access to it is a page fault" says '#PF, error code 0x5 (present, user)' \
	./thv walk $vm $text --user
claim "an address that is none is a general protection fault" says '#GP(0)' \
	./thv walk $vm 0x8000000000000000
claim "... guest-physical, only the second level is followed" says '^second level  *EPT' \
	./thv walk $vm 0x1000000 --physical
# xAPIC, or x2APIC with the processor's help or without
claim "... or the APIC's page, which no slot has" \
	says "reaches the local APIC's page\|thv keeps there\|no memory, so the launcher" \
	./thv walk $vm 0xfee00000 --physical
claim "... and privilege is then out of place" refuses 'leave out --user, or --physical' \
	./thv walk $vm 0x1000000 --physical --user
claim "thv walk --json is JSON" json ./thv walk $vm $text

claim "thv mem shows bytes" says '^ffffffff81000000  [0-9a-f ]*  |.*|$' ./thv mem $vm $text 64
claim "... and instructions" says '^ffffffff810000[0-9a-f]*  .* [a-z][a-z]* ' \
	./thv mem $vm $text 64 --disassemble
claim "... and guest-physical memory" says '^0000000001000000  ' \
	./thv mem $vm 0x1000000 16 --physical
claim "thv mem --json is JSON" json ./thv mem $vm $text 16
claim "what is not mapped is an error with its reason" refuses 'could be read' \
	./thv mem $vm 0xffffff0000000000 16
claim "what is no memory, too" refuses 'no memory' \
	./thv mem $vm 0xf000000000 16 --physical

claim "thv dump shows registers" says '^ rip [0-9a-f]\{16\}' ./thv dump $vm --section registers
claim "... control registers by their bits" says '^  cr0 .* PE .*PG' \
	./thv dump $vm --section control
claim "... the VMCS by the manual's names" says '^  Guest RIP ' ./thv dump $vm --section vmcs
claim "... controls in words" says 'HLT exiting' ./thv dump $vm --section vmcs
claim "... that the state breaks no rule of entry" says 'breaks none of the rules' \
	./thv dump $vm --section entry
claim "... events" says '^  activity' ./thv dump $vm --section events
claim "... the APIC" says '^  LVT timer' ./thv dump $vm --section apic
claim "... MSRs" says '^  IA32_LSTAR  *ffffffff' ./thv dump $vm --section msrs
claim "thv dump --json is JSON" json ./thv dump $vm

claim "thv resume: it does so" ./thv resume $vm
claim "... and the guest moves again" moves

claim "thv nmi: it is sent" ./thv nmi $vm
claim "... and the guest's kernel tells of it" within 20 grep -qs 'NMI received' "$work/console"
claim "... and the guest goes on" moves

for command in "dump $vm" "nmi $vm" "walk $vm 0" "mem $vm 0 1"; do
	claim "thv ${command%% *}: no such vCPU" refuses 'no such vCPU' ./thv $command --vcpu 63
done
for command in pause resume stop kill nmi dump "walk 1" "mem 1 1"; do
	claim "thv ${command%% *}: no such VM" no_vm $command
done
claim "a length of nothing is refused" refuses 'out of range' ./thv mem $vm 0 0
claim "a range beyond the last address is refused" refuses 'not so many addresses' \
	./thv mem $vm 0xffffffffffffffff 2

claim "thv stop ends a VM, and its launcher says so" ended_by stop 116
claim "thv kill ends a VM, and its launcher says so" ended_by kill 117
