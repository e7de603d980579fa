# SPDX-License-Identifier: GPL-2.0-only
"""What goes wrong, as the user sees it: a cause, a remedy, an exit status."""

# The command's own status is passed on, so these keep to the top of the range.
CANNOT_START = 200      # wrong usage, a missing file, package or program
EMULATOR = 201          # Bochs gave up: a triple fault, a failed assertion of its own
PANIC = 202             # the host kernel panicked
OOPS = 203              # BUG, oops, general protection fault, lockup
WARNING = 204           # WARN (unless --allow-warn)
HANG = 205              # --limit is over, or the boot makes no progress
RESET = 206             # the host restarted or powered off before the command ended
NO_RESET = 207          # --expect-reset, and the command ended instead


class Problem(Exception):
    """A run that cannot be completed. Printed as 'machine: CAUSE; REMEDY'."""

    def __init__(self, cause, remedy, status=CANNOT_START, tail=""):
        super().__init__(cause)
        self.cause, self.remedy, self.status, self.tail = cause, remedy, status, tail
