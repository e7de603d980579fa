# SPDX-License-Identifier: GPL-2.0-only
#
# A real gdb on the running guest (run has started it with --gdb): break in a kernel function by
# its symbol, look around, step, watch a variable, interrupt, and leave; the guest goes on. Wants
# debugger/gdb and guest/symbols (scripts/guest).

# debug NAME LINE...: a session; what gdb shows is in $work/NAME
debug() {
	session=$1
	shift
	printf '%s\n' 'set pagination off' 'set confirm off' 'set width 0' 'set remotetimeout 30' \
		"$@" >"$work/commands"
	timeout 150 debugger/gdb -nx -batch -x "$work/commands" >"$work/$session" 2>&1
}

# shows NAME PATTERN: the session did; else it is printed, the first time
shows() {
	grep -Eq -e "$2" "$work/$1" && return
	echo "no '$2' in $1:"
	[ -e "$work/$1.printed" ] || cat "$work/$1"
	: >"$work/$1.printed"
	return 1
}

# One for all: it takes gdb a while to begin, and the guest leaves it the processor. First by hardware:
# if it is user code that stops at the connection, the kernel is not mapped (page-table isolation).
# $PPID of gdb's shell is gdb.
long_session() {
	./thv pause $vm
	debug long 'file guest/symbols' "shell ./thv resume $vm" "target remote $work/gdb" 'info threads' \
		'hbreak ksys_write' 'continue' 'delete' \
		'break meminfo_proc_show' 'continue' 'backtrace 2' \
		'stepi' 'stepi' 'printf "two steps: %ld\n", $pc > (long)&meminfo_proc_show' \
		'x/2xb meminfo_proc_show' 'monitor registers' 'eval "monitor walk 0x%lx", $pc' \
		'continue' 'delete' \
		'watch *(unsigned long *)&jiffies' 'continue' 'info symbol $pc' 'delete' \
		'shell (sleep 2; kill -INT $PPID) &' 'continue' 'info registers rip' \
		'detach'
	shows long '^Breakpoint 2, 0x[0-9a-f]* in meminfo_proc_show'
}

again() {
	[ "$(grep -c '^Breakpoint 2, ' "$work/long")" -eq 2 ] || shows long 'Breakpoint 2, twice'
}

# gdb is killed while it has a breakpoint
lost_connection() {
	at=$(sed -n 's/^Breakpoint 2, \(0x[0-9a-f]*\) in .*/\1/p' "$work/long" | head -n 1)
	debug lost "target remote $work/gdb" "hbreak *${at:-0}" 'continue' 'shell kill -9 $PPID'
	shows lost '^Breakpoint 1, ' && moves
}

# Another machine, with two vCPUs and nothing that begins, by TCP
waiting() {
	ip link set lo up
	./thv run --kernel guest/vmlinuz --mem 64M --cpus 2 --gdb 1234 --gdb-wait \
		--serial null >"$work/second.log" 2>&1 &
	second=$!
	within 20 grep -q 'waiting for gdb' "$work/second.log"
	debug waiting 'target remote :1234' 'info threads' 'set $start = $pc' 'stepi' \
		'printf "a step: %d\n", $pc != $start' 'kill'
	wait $second
	[ $? -eq 137 ] && shows waiting '^a step: 1'
}

if [ ! -x debugger/gdb ]; then
	skip "gdb stops the guest in a kernel function, by its symbol" "there is no debugger/gdb"
	return 0
fi
claim "gdb stops the guest in a kernel function, by its symbol" long_session
claim "... and shows who called it" shows long '^#1 .* in seq_read_iter'
claim "... with its vCPU as a thread" shows long '^\* 1 .*vCPU 0: .*, CPL [03], 64-bit'
claim "... steps from there" shows long '^two steps: 1'
claim "... does not see its own breakpoint in memory" shows long '^0x.*<meminfo_proc_show>:.0x(f3|0f|55|41)'
claim "... goes on and stops there again" again
claim "... shows what thv knows, registers" shows long '^ *cr0 [0-9a-f]*  cr2'
claim "... and an address's way through the tables" shows long 'guest tables .*4-level paging'
claim "... stops at a hardware breakpoint" shows long '^Breakpoint 1, 0x[0-9a-f]* in ksys_write'
claim "... and at a watchpoint" shows long '^Hardware watchpoint 3: '
claim "... with the variable's old value" shows long '^Old value = [0-9]+'
claim "... and interrupts the guest" shows long 'received signal SIGINT'
claim "the guest goes on when gdb has gone" moves
claim "... also when it went without a word" lost_connection
claim "--gdb-wait lets nothing run before gdb does, and gdb can end it" waiting
claim "... by TCP, with two vCPUs as threads" shows waiting '^ +2 .*vCPU 1: waiting for a start-up IPI'
