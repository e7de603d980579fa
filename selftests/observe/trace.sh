# SPDX-License-Identifier: GPL-2.0-only
# thv stat, thv trace and the summary of thv run --stats; read by observe/run

nothing_left() {
	! ls /sys/kernel/tracing/instances | grep thv-
}

n=$vm
claim "thv stat tells a VM's counters with what they count" says 'exits: VM exits' ./thv stat "$n"
claim "... and that no ledger has been kept" says 'No exit ledger' ./thv stat "$n"
claim "thv stat --interval tells rates, shares of time and times by reason" \
	says 'vCPU time: guest .* kernel .* launcher .* asleep' ./thv stat "$n" --interval 2 --count 2
cat "$work/said" | sed 's/^/# /'
claim "... HLT among them" grep -q ' HLT$' "$work/said"
claim "what was kept is there afterwards" says ' HLT$' ./thv stat "$n"
claim "thv stat --histogram draws one reason" says '|#' ./thv stat "$n" --histogram hlt
cat "$work/said" | sed 's/^/# /'
claim "thv stat --json tells the ledger" says '"ledger":{"tsc_khz":.*"name":"HLT"' ./thv stat "$n" --json
claim "thv stat refuses a reason that is none" refuses 'no exit reason' ./thv stat "$n" --histogram xyz
claim "thv stat refuses a VM that is not there" refuses 'no such VM' ./thv stat 99999

claim "thv trace tells events in words" \
	says 'exit .*reason=.*rip=0x' ./thv trace "$n" --count 200
sed -n '1,25s/^/# /p' "$work/said"
claim "... of this VM's vCPU, from the first one on" grep -q '^ *0\.0000000.. *0 ' "$work/said"
claim "thv trace --events tells no others" says '^ .* exit ' ./thv trace "$n" --events exit --count 50
claim "... really" test -z "$(grep '^ ' "$work/said" | grep -v ' exit  ')"
rip=$(grep -o 'rip=0xffffffff[0-9a-f]*' "$work/said" | sort | uniq -c | sort -n | tail -n 1 | sed 's/.*rip=0x//')
printf '%s T here_it_is\nffffffffff000000 T far_away\n' "$rip" >"$work/System.map"
claim "thv trace --symbols names addresses" \
	says "rip=0x$rip (here_it_is+0)" ./thv trace "$n" --events exit --count 300 --symbols "$work/System.map"
printf '%x T here_it_is\n' $((0x$rip - 0x600000)) >"$work/System.map"
claim "... of a kernel that was moved, when told how far" says "rip=0x$rip (here_it_is+0)" \
	./thv trace "$n" --events exit --count 300 --symbols "$work/System.map" --kaslr 0x600000
lstar=$(./thv dump "$n" --section msrs | awk '$1 == "IA32_LSTAR" { print $2 }')
printf '%x T entry_SYSCALL_64\n' $((0x$lstar - 0x600000)) >>"$work/System.map"
claim "... or, by the address of its system-call entry, finds it out" says "rip=0x$rip (here_it_is+0)" \
	./thv trace "$n" --events exit --count 300 --symbols "$work/System.map"
claim "thv trace --json tells objects" says '^{"time_ns":0,"cpu":.*"event":"' ./thv trace "$n" --json --count 20
claim "thv trace --chrome writes a timeline" says '[0-9] events' \
	./thv trace "$n" --duration 1 --buffer 128K --output "$work/events" --chrome "$work/timeline"
# Of the launcher only if the guest needed it in that second
claim "... with slices of guest and kernel" eval 'grep -q "\"cat\":\"guest\"" "$work/timeline" &&
	grep -q "\"cat\":\"kernel\"" "$work/timeline"'
claim "... that is closed" eval 'tail -n 1 "$work/timeline" | grep -q "]}$"'
claim "losses are reported" says ' lost: the buffer was full' \
	./thv trace "$n" --duration 1 --buffer 64K --output /dev/null
claim "thv trace refuses an event that is none, and names those there are" \
	refuses 'no such event; there are:.*page_fault' ./thv trace "$n" --events exit,nonsense
claim "thv trace ends at SIGTERM" eval './thv trace "$n" --output /dev/null & t=$!; sleep 1; kill -TERM $t; wait $t'
claim "nothing of it is left in tracefs" nothing_left
# thv trace wants root; busybox's setpriv cannot change users, that of util-linux can
if setpriv --reuid 65534 --clear-groups true 2>/dev/null; then
	chmod 666 /dev/thv
	claim "who is not root is told so" \
		refuses "not permitted\|permission denied" setpriv --reuid 65534 --clear-groups ./thv trace "$n"
	chmod 660 /dev/thv
else
	skip "who is not root is told so" "setpriv cannot change users here"
fi

# A VM that ends on its own, with its bill
bill() {
	./thv run --kernel guest/vmlinuz --initrd guest/initramfs.cpio --mem 128M --stats "$@" \
		--append "console=ttyS0 panic=-1 cryptomgr.notests random.trust_cpu=on initcall_blacklist=jent_mod_init thv.run=$(printf 'exit 3' | base64)" \
		--debug-exit --serial null --serial2 null >"$work/said" 2>&1
	[ $? -eq 3 ]
}
claim "thv run --stats runs" bill
claim "... and ends with counters, shares of time and times by reason" eval \
	'grep -q "exits: VM exits" "$work/said" && grep -q "vCPU time: guest" "$work/said" && grep -q " EPT violation$" "$work/said"'
sed 's/^/# /' "$work/said"
