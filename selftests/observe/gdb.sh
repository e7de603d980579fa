# SPDX-License-Identifier: GPL-2.0-only
#
# A real gdb on the running guest (run has started it with --gdb): break in a kernel function by
# its symbol, look around, step, watch a variable, and leave; the guest goes on. Wants
# debugger/gdb and guest/symbols (scripts/guest).

# debug NAME LINE...: a session; what gdb shows is in $work/NAME
debug() {
	session=$1
	shift
	printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' 'set auto-load off' \
		"$@" >"$work/commands"
	timeout 120 debugger/gdb -nx -batch -x "$work/commands" guest/symbols >"$work/$session" 2>&1
}

# shows NAME PATTERN: the session did; else it is printed whole
shows() {
	grep -Eq -e "$2" "$work/$1" && return
	echo "no '$2' in:"
	cat "$work/$1"
	return 1
}

# The value that a session printed as "NAME = VALUE"
value() {
	sed -n "s/^$2 = //p" "$work/$1" | head -n 1
}

kernel_breakpoint() {
	debug breakpoint "target remote $work/gdb" 'info threads' 'break meminfo_proc_show' 'continue' \
		'info registers rip rsp cr3 efer' 'backtrace 2' 'info symbol *(long *)$rsp' 'x/2i $pc' \
		'stepi' 'stepi' 'info registers rip' 'monitor registers' 'delete' \
		'x/4xb meminfo_proc_show' 'detach'
	shows breakpoint '^Breakpoint 1, 0x[0-9a-f]* in meminfo_proc_show'
}

watchpoint() {
	debug watchpoint "target remote $work/gdb" 'hbreak ksys_read' 'continue' 'delete' \
		'watch *(unsigned long *)&jiffies' 'continue' 'info symbol $pc' 'delete' 'detach'
	shows watchpoint '^Hardware watchpoint 2: '
}

jiffies() {
	debug jiffies "target remote $work/gdb" 'printf "jiffies = %lu\n", *(unsigned long *)&jiffies' 'detach'
	value jiffies jiffies
}

goes_on() {
	before=$(jiffies)
	sleep 2
	after=$(jiffies)
	echo "$before, then $after"
	[ -n "$before" ] && [ "$before" -lt "$after" ]
}

lost_connection() {
	debug lost "target remote $work/gdb" 'break meminfo_proc_show' 'continue' 'shell kill -9 $PPID'
	goes_on
}

# Another machine, which does not begin
waiting() {
	./thv run --kernel guest/vmlinuz --mem 64M --gdb "unix:$work/second" --gdb-wait \
		--serial null >"$work/second.log" 2>&1 &
	second=$!
	within 20 test -S "$work/second"
	debug waiting "target remote $work/second" 'info registers rip' 'hbreak *0x1000000' 'kill'
	wait $second
	[ $? -eq 137 ] && shows waiting '^rip'
}

if [ ! -x debugger/gdb ]; then
	skip "gdb stops the guest in a kernel function, by its symbol" "there is no debugger/gdb"
	return 0
fi
claim "gdb stops the guest in a kernel function, by its symbol" kernel_breakpoint
claim "... and shows who called it" shows breakpoint 'seq_read_iter'
claim "... with its vCPUs as threads" shows breakpoint '^\* 1 .*vCPU 0: .*, CPL [03], 64-bit'
claim "... steps from there" shows breakpoint '^0x[0-9a-f]* in meminfo_proc_show'
claim "... and answers monitor commands" shows breakpoint '^ *cr0 [0-9a-f]*  cr2'
claim "gdb stops at a hardware breakpoint and a watchpoint" watchpoint
claim "... and tells what the variable was" shows watchpoint '^Old value = [0-9]+'
claim "the guest goes on when gdb has gone" goes_on
claim "... also when it went without a word" lost_connection
claim "--gdb-wait lets nothing run, and gdb can end it" waiting
