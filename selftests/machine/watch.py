# SPDX-License-Identifier: GPL-2.0-only
"""
Following a run: how far it is, and what has gone wrong.

Facts come in by the third serial port (the boot sector and /init send single
letters there, see EVENTS) and from the host kernel's own console messages.
"""

import re
import time

from problem import Problem, PANIC, OOPS, WARNING, HANG, RESET

# Letters on the third serial port. 'X' is followed by the exit status.
START, KERNEL, USER_SPACE, COMMAND, EXIT = b"BKUCX"

# How far the way to the command's start is done, in percent of CPU time, and
# what tells so: a letter or a console message, in the order they come.
MILESTONES = (
    (4, START, "loading the host kernel"),
    (8, KERNEL, "starting the host kernel"),
    (21, "Linux version", "starting the host kernel"),
    (33, "smp: Brought up", "starting the host kernel's subsystems"),
    (50, "ACPI: Interpreter enabled", "looking for devices"),
    (52, "clocksource: Switched to", "starting the network and file systems"),
    (60, "Trying to unpack rootfs", "unpacking the files"),
    (64, "Serial: 8250", "starting the drivers"),
    (72, "NET: Registered PF_INET6", "starting the drivers"),
    (77, "Write protecting the kernel", "the host kernel checks its memory map"),
    (95, "Run /init", "starting the first process"),
    (96, USER_SPACE, "setting up the host"),
    (100, COMMAND, "running the command"),
)

# What a broken kernel says. A user program's fault ("traps: ... general
# protection fault ip:") is the program's affair and does not match.
SPLATS = (
    (PANIC, "the host kernel panicked", re.compile(r"Kernel panic - not syncing")),
    (OOPS, "the host kernel hit a bug", re.compile(
        r"\bBUG: |kernel BUG at |\bOops: |general protection fault[,:]|rcu: INFO: |INFO: rcu_\w+ (self-)?detected"
        r"|INFO: task .* blocked for more than|double fault: |PANIC: double fault")),
    (WARNING, "the host kernel gave a warning", re.compile(
        r"WARNING: (CPU|possible|suspicious|inconsistent|bad unlock|held lock|chain|[Nn]ested lock|lock held)"
        r"|UBSAN: |unchecked MSR access error")),
)
SPLAT_ENDS = re.compile(r"---\[ end (trace|Kernel panic)")

SETTLE = 4              # seconds a splat is given to be printed in full
BOOT_SILENCE = 120      # CPU seconds without a sign of life before the command starts: a debug kernel unpacks files
TAIL = 60               # console lines shown with a failure


class Watch:
    """The state of a run. Raises Problem when it cannot end well."""

    def __init__(self, limit, allow_warn, expect_reset, on_phase):
        self.limit, self.allow_warn, self.expect_reset, self.on_phase = limit, allow_warn, expect_reset, on_phase
        self.start = time.monotonic()
        self.lines = []
        self.partial = b""
        self.splat = None               # (status, sentence, line number, time)
        self.warning = None
        self.passed = 0                 # milestones
        self.seen = set()
        self.await_status = False
        self.status = None
        self.was_reset = False
        self.cpu_seconds = 0.0
        self.alive_at = 0.0             # CPU time of the last sign of life

    # Input

    def events(self, data):
        for letter in data:
            self.alive_at = self.cpu_seconds
            if self.await_status:
                self.status, self.await_status = letter, False
            elif letter == EXIT:
                self.await_status = True
            elif letter in b"BKUC":
                self.seen.add(letter)
                self.milestone(letter)

    def console(self, data):
        """Take in console output; return it as text in whole lines."""
        self.alive_at = self.cpu_seconds
        *whole, self.partial = (self.partial + data.replace(b"\r", b"")).split(b"\n")
        lines = [line.decode(errors="replace") for line in whole]
        for line in lines:
            self.lines.append(line)
            self.milestone(line)
            self.look_for_splat(line)
        return lines

    def milestone(self, sign):
        for i in range(self.passed, len(MILESTONES)):
            percent, wanted, text = MILESTONES[i]
            if wanted == sign or isinstance(wanted, str) and isinstance(sign, str) and wanted in sign:
                self.passed = i + 1
                self.on_phase(percent, text)
                return

    def look_for_splat(self, line):
        if self.splat and SPLAT_ENDS.search(line):
            # A panic's own end comes after that of the oops that led to it.
            if self.splat[0] != PANIC or "Kernel panic" in line:
                self.splat = (*self.splat[:3], 0.0)
        for status, sentence, pattern in SPLATS:
            if pattern.search(line):
                self.note(status, sentence)
                return

    def note(self, status, sentence):
        found = (status, sentence, len(self.lines) - 1, time.monotonic())
        if status == PANIC and self.expect_reset:
            return
        if status == WARNING:
            # The emulator's processor models make the booting kernel warn.
            if USER_SPACE in self.seen and not self.allow_warn:
                self.warning = self.warning or found
        elif not self.splat:
            self.splat = found
        elif status == PANIC and self.splat[0] != PANIC:
            self.splat = (status, sentence, self.splat[2], time.monotonic())

    # Judgement

    def check(self):
        """Called a few times a second."""
        if self.splat and time.monotonic() - self.splat[3] > SETTLE:
            raise self.splat_problem(self.splat)
        if self.was_reset and not self.expect_reset and self.status is None:
            raise Problem("the host restarted before the command ended",
                          "if that is what the command is for, say --expect-reset", RESET, self.tail())
        if time.monotonic() - self.start > self.limit:
            what = "the command did not end" if COMMAND in self.seen else "the command was not reached"
            raise Problem(f"{what} within {self.limit:g} seconds",
                          "look for what it waits for, or allow more with --limit", HANG, self.tail())
        if COMMAND not in self.seen and self.cpu_seconds - self.alive_at > BOOT_SILENCE:
            raise Problem(f"the host gave no sign of life for {BOOT_SILENCE} seconds of CPU time while booting",
                          "see where it stopped", HANG, self.tail())

    def check_end(self):
        """Called when the emulator has ended by itself."""
        if self.splat or self.warning:
            raise self.splat_problem(self.splat or self.warning)

    def splat_problem(self, splat):
        status, sentence, line, _time = splat
        text = re.sub(r"^\[ *[\d.]+\] *", "", self.lines[line])
        remedy = "see the trace" + ("; if it is expected, say --allow-warn" if status == WARNING else "")
        # The lines just before ("cut here") belong to it.
        return Problem(f"{sentence} ({text.strip()})", remedy, status,
                       "\n".join(self.lines[max(line - 3, 0):line + TAIL]))

    def tail(self):
        return "\n".join(self.lines[-TAIL:])
