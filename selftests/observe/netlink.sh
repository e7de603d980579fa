# SPDX-License-Identifier: GPL-2.0-only
# list, show, wait, events and top on a running Debian guest, and who may see it. Read by run.

id=$(./thv list | awk -v name=$vm '$2 == name { print $1 }')

# JSON without a program that reads it: brackets that pair, and no comma too many or too few
json() {
	"$@" >"$work/json" || return
	awk '{
		gsub(/\\./, "")
		gsub(/"[^"]*"/, "s")
		line = $0
		gsub(/-?[0-9]+(\.[0-9]+)?/, "s", line)
		gsub(/true|false/, "s", line)
		while (gsub(/\[(s(,s)*)?\]/, "s", line) + gsub(/\{(s:s(,s:s)*)?\}/, "s", line))
			;
		if (line != "s") {
			print "not JSON: " line
			bad = 1
		}
	}
	END { exit bad || !NR }' "$work/json"
}

# ends_with STATUS PATTERN COMMAND...
ends_with() {
	wanted=$1 pattern=$2
	shift 2
	"$@" >"$work/said" 2>&1
	status=$?
	[ $status -eq "$wanted" ] && grep -q -e "$pattern" "$work/said" ||
		{ echo "status $status"; cat "$work/said"; false; }
}

as_student() {
	su student -s /bin/sh -c "$*"
}

claim "list has the guest" says " $vm .* running " ./thv list
claim "... its memory and exits" sh -c './thv list | grep -q " [1-9][0-9]*M  *[1-9][0-9]*$"'
claim "... as JSON" json ./thv list --json
claim "show by name" says "^VM  *$id, $vm$" ./thv show $vm
claim "show by number" says "^VM  *$id, $vm$" ./thv show "$id"
claim "... names its launcher" says "launcher's pid $launcher" ./thv show $vm
claim "... its memory slots" says "^ *0  0  *0xfffffff  *262144K" ./thv show $vm
claim "... its counters" says ' exits: VM exits$' ./thv show $vm
claim "... as JSON" json ./thv show $vm --json
claim "what is not there is said so" ends_with 1 'no VM .*thv list' ./thv show no-such-vm
claim "... by number" ends_with 1 'there is no such VM' ./thv show 2000000000
claim "... or larger than any" ends_with 1 'there is no such VM' ./thv show 99999999999999999999
claim "no VM named is a wrong command line" ends_with 2 'VM' ./thv show

# Somebody else: the device is made theirs for a moment
cp thv /tmp/thv
chmod 666 /dev/thv
claim "another user's VM is not permitted" ends_with 1 'not permitted: it is another user' as_student /tmp/thv show "$id"
claim "... and not in their list" sh -c '! su student -s /bin/sh -c "/tmp/thv list" | grep -q '$vm
claim "... nor waited for" ends_with 1 'not permitted' as_student /tmp/thv wait "$id"
chmod 660 /dev/thv
claim "who cannot open the device is told of group thv" ends_with 1 'group thv' as_student /tmp/thv list
rm /tmp/thv

# A second VM, bare and of the same name: made by hold, which names it vm-<id>
selftests/lib/hold vm >"$work/held" &
holder=$!
within 20 grep -qs ready "$work/held"
bare=$(./thv list | awk '$2 ~ /^vm-/ { print $1 }')
claim "another VM is listed beside it" [ -n "$bare" ]
./thv events --json >"$work/events" &
listener=$!
./thv events "$bare" >"$work/events-of-one" &
listener_of_one=$!
./thv wait "$bare" >"$work/waited" &
waiter=$!
sleep 1
claim "waiting for a state it is in is over at once" ends_with 0 "is running" ./thv wait $bare --for running
claim "... for another it takes as long as one cares" ends_with 4 "still running" ./thv wait $bare --for paused --timeout 1
kill $holder
wait $holder 2>/dev/null
wait $waiter
claim "wait ends when the VM's process does" [ $? -eq 0 ]
claim "... and says so" grep -q "VM $bare is gone" "$work/waited"
wait $listener_of_one
claim "so do the events of that VM" [ $? -eq 0 ]
claim "... with its end" grep -q "VM $bare vm-$bare: destroyed$" "$work/events-of-one"
kill $listener
wait $listener
claim "events ends well when it is ended" [ $? -eq 0 ]
claim "... each is JSON on a line" json cat "$work/events"
claim "... and it saw the same end" grep -q "\"vm\":$bare,.*\"event\":\"destroyed\"" "$work/events"

claim "top has the guest, with rates from the second frame on" \
	says "^ *$id $vm  *running  *[1-9][0-9]* " ./thv top --batch 2 --delay 1000
claim "... and its vCPUs" says "vCPU 0 " ./thv top --batch 1
claim "... or not" sh -c '! ./thv top --batch 1 --no-vcpus | grep -q vCPU'
claim "... as JSON" json ./thv top --batch 2 --delay 500 --json
claim "top wants a terminal for its screen" ends_with 1 'use --batch' sh -c './thv top </dev/null'
# On a terminal, with what is typed there (see lib/screen.c)
screen=selftests/lib/screen
$screen PvPZPq ./thv top --delay 500 >"$work/screen"
part() {
	awk -v wanted="$1" '/^---- / { n++ } n == wanted' "$work/screen"
}
part 1 >"$work/first"
part 2 >"$work/no-vcpus"
part 3 >"$work/small"
claim "top draws its screen" says "^ *$id $vm  *running " cat "$work/first"
claim "... with vCPUs" says "vCPU 0 " cat "$work/first"
claim "... v hides them, and leaves nothing behind" sh -c "! grep -q vCPU $work/no-vcpus && [ \$(wc -l <$work/no-vcpus) -eq 25 ]"
claim "... a smaller terminal has it again, to its size" sh -c "
	grep -q '^---- 12x60' $work/small && grep -q '^ *$id $vm ' $work/small && [ \$(grep -c MEMORY $work/small) -eq 1 ]"
claim "... q ends it well" says "^status 0" cat "$work/screen"
claim "an unknown terminal is told, with what to do" says 'terminal type "nonesuch" (TERM) is not known' $screen q env TERM=nonesuch ./thv top
claim "... with what to do" grep -q "use --batch" "$work/said"
cat "$work/screen"
./thv list
./thv show $vm
./thv top --batch 2 --delay 2000
