#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading, as root on a machine that is no one else's:
#
#	module_load.sh [THV.KO [TIMES]]
#
# THV.KO: the module (thv.ko beside this script, or one directory up, or in /root); TIMES: how often
# it is loaded and unloaded (100). Whether it is loaded is the same before and after. TAP out.

here=$(cd "$(dirname "$0")" && pwd)
hold=$here/lib/hold
[ -x "$hold" ] || hold=$here/hold
ko=$1
times=${2:-100}
for place in "$here/thv.ko" "$here/../thv.ko" /root/thv.ko; do
	[ -z "$ko" ] && [ -r "$place" ] && ko=$place
done

count=0 failures=0
result() {
	count=$((count + 1))
	[ "$1" = 'not ok' ] && failures=$((failures + 1))
	echo "$1 $count $2"
}
ok() { result ok "$1"; }
not_ok() { result 'not ok' "$1"; }
skip() { result ok "$1 # SKIP $2"; }
say() { echo "# $*"; }
# check NAME COMMAND...: the command succeeds
check() {
	name=$1
	shift
	if "$@"; then ok "$name"; else not_ok "$name"; fi
}
finish() {
	echo "1..$count"
	[ $failures -eq 0 ]
	exit
}

loaded() { grep -q '^thv ' /proc/modules; }
# A mark in the kernel log; and does it say this since?
log_start() { mark="module_load $$ $count"; echo "$mark" >/dev/kmsg; }
said() {
	dmesg | sed "1,/$mark/d" >"$log"
	grep -q "$1" "$log" || { sed 's/^/# /' "$log"; false; }
}
refused() { ! insmod "$ko" 2>"$errors"; }
load() { loaded || insmod "$ko"; }
unload() { ! loaded || rmmod thv; }

log=$(mktemp) errors=$(mktemp)
trap 'rm -f "$log" "$errors"; [ "$was_loaded" ] && load; :' EXIT

echo "TAP version 13"
if [ "$(id -u)" != 0 ] || [ ! -r "$ko" ]; then
	echo "1..0 # SKIP needs root, and thv.ko (first argument)"
	exit 4
fi
loaded && was_loaded=yes
say "module $ko, $times times"

# ---- where it cannot work

if ! grep -qw vmx /proc/cpuinfo; then
	log_start
	check "without VMX it does not load" refused
	check "... and says that the processor has no VMX" said 'thv:.*no VMX'
	check "... as -ENODEV" grep -qi 'no such device' "$errors"
	check "... and leaves no device" [ ! -e /dev/thv ]
	finish
fi

unload
log_start
if refused; then
	# Not a failure where something is missing, if it says what
	check "where a control is missing, its name is said" said 'thv: this processor.* lacks'
	check "... as -EOPNOTSUPP" grep -qi 'not supported' "$errors"
	check "... and leaves no device" [ ! -e /dev/thv ]
	finish
fi

# ---- again and again

check "it loads, and says on how many CPUs" said "thv: VMX on $(grep -c ^processor /proc/cpuinfo) CPUs"
check "... and what is in use" said 'thv: in use: .*EPT'
check "there is a device" [ -c /dev/thv ]
check "... that is nobody's but root's" [ "$(stat -c %a:%u /dev/thv)" = 660:0 ]
check "it unloads" rmmod thv
check "... and the device is gone" [ ! -e /dev/thv ]

again() {
	i=0
	while [ $i -lt "$times" ]; do
		insmod "$ko" && rmmod thv || return 1
		i=$((i + 1))
	done
}
check "it loads and unloads $times times" again
check "... twice at once it does not" sh -c 'insmod "$0" && ! insmod "$0" 2>/dev/null && rmmod thv' "$ko"

# ---- while in use

start_holding() {
	load || return 1
	"$hold" "$1" >"$errors" &
	pid=$!
	while ! grep -q ready "$errors"; do
		kill -0 $pid 2>/dev/null || return 1
		sleep 0.05
	done
}
held() {
	start_holding "$1" || return 1
	! rmmod thv 2>/dev/null
	status=$?
	kill $pid
	wait $pid 2>/dev/null
	[ $status -eq 0 ] && rmmod thv
}

# while_running COMMAND...: a guest runs on as before
while_running() {
	load || return 1
	"$hold" run >"$errors" &
	pid=$!
	while ! grep -q ready "$errors"; do
		kill -0 $pid 2>/dev/null || return 1
		sleep 0.05
	done
	"$@" || return 1
	kill -0 $pid || return 1
	kill $pid
	wait $pid 2>/dev/null
	rmmod thv
}

for what in device vm vcpu page control run; do
	check "it does not unload while there is a $what, and does afterwards" held $what
done

# The subscription ends with the module, the socket does not
not_held() {
	start_holding listener && rmmod thv && kill -0 $pid && load || return 1
	kill $pid
	wait $pid 2>/dev/null
	rmmod thv
}
check "a listener's socket does not keep it, and is not hurt" not_held

# ---- CPUs that come and go

hotplug=/sys/devices/system/cpu/cpu1/online
if [ -w $hotplug ]; then
	offline_and_back() {
		load && echo 0 >$hotplug && echo 1 >$hotplug && rmmod thv
	}
	check "a CPU goes and comes while it is loaded" offline_and_back
	loaded_while_away() {
		echo 0 >$hotplug && load && echo 1 >$hotplug && rmmod thv
	}
	check "a CPU comes that was away when it was loaded" loaded_while_away
	thrice_away() {
		for cpu in 1 1 1; do
			echo 0 >$hotplug && sleep 0.02 && echo 1 >$hotplug || return 1
		done
	}
	check "a CPU goes and comes while a guest runs" while_running thrice_away
else
	skip "a CPU goes and comes while it is loaded" "CPU 1 cannot be taken off line"
fi

# ---- sleep (threat 30): all of it but the last step, in which the machine would be off

power=/sys/power
if [ -w $power/pm_test ] && grep -q mem $power/state; then
	asleep_and_awake() {
		echo 0 >/sys/module/suspend/parameters/pm_test_delay
		echo core >$power/pm_test
		echo mem >$power/state
		status=$?
		echo none >$power/pm_test
		return $status
	}
	check "the machine sleeps and wakes while a guest runs" while_running asleep_and_awake
	awake_again() {
		load && asleep_and_awake && while_running true
	}
	check "... and while none does; then one can" awake_again
else
	skip "the machine sleeps and wakes while a guest runs" "this kernel has no pm_test"
fi

# ---- beside KVM (threat 29)

if modprobe -D kvm_intel >/dev/null 2>&1; then
	unload
	log_start
	check "kvm_intel loads after it: VMX was left off" modprobe kvm_intel
	kvm_works() {
		"$hold" kvm >"$errors" &
		pid=$!
		for i in 1 2 3 4 5 6 7 8 9 10; do
			grep -q ready "$errors" && break
			sleep 0.1
		done
		grep -q ready "$errors"
	}
	check "... and makes a VM" kvm_works
	log_start
	check "it does not load while KVM has a VM" refused
	check "... and says who has the processors and what to do" said 'thv: .*modprobe -r kvm_intel'
	check "... as -EBUSY" grep -qi busy "$errors"
	kill $pid
	wait $pid 2>/dev/null
	rmmod kvm_intel		# not kvm, which takes long to load
	check "it loads once KVM is gone" insmod "$ko"
	log_start
	check "kvm_intel does not load beside it" sh -c '! modprobe kvm_intel 2>/dev/null'
	check "... and the log says why" said 'rmmod thv'
	unload
	rmmod kvm
else
	skip "kvm_intel loads after it" "there is no kvm_intel here"
fi

# ---- what is left

leftovers() {
	! dmesg | grep -E 'thv' | grep -E 'WARNING|BUG|leak|Oops'
}
check "nothing is left but the kernel log" leftovers
finish
