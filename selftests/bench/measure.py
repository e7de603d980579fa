# SPDX-License-Identifier: GPL-2.0-only
"""The benchmark on the emulated machine: what it takes to run it, and to understand what it prints."""

import subprocess
import sys
from collections import namedtuple
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
MACHINE = TOP / "selftests/machine/machine"
BUILD = TOP / "build/bench"
HOST, CPU = "6.1", "skylake"
LIMIT = 900             # seconds, of the emulated machine

Row = namedtuple("Row", "name title ticks")     # ticks: of each hypervisor


def release():
    return subprocess.check_output([MACHINE, "--host", HOST, "--kver"], text=True).strip()


def stripped_module():
    """As distributions install it: with symbols for kallsyms, without what only debuggers read."""
    module = BUILD / "thv.ko"
    subprocess.run(["strip", "--strip-debug", "-o", module, TOP / "build/module" / release() / "thv.ko"], check=True)
    return module


def measure(hypervisors, groups, rows, cpus=1):
    """In one boot."""
    command = [MACHINE, "--quiet", "--host", HOST, "--cpu", CPU, "--cpus", str(cpus), "--limit", str(LIMIT),
               "--module", "kvm_intel", "--log", BUILD / "console"]
    files = [stripped_module(), BUILD / "bench-thv", BUILD / "bench-kvm", HERE / "on-host"]
    if "machines" in groups:
        files += [TOP / "build/userspace/thv", BUILD / "start", BUILD / "first.bin"]
    if "linux" in groups:
        files += [TOP / "build/guest/vmlinuz", BUILD / "guest.cpio", BUILD / "programs"]
    for file in files:
        command += ["--file", file]
    command += ["--", "sh", "on-host", " ".join(hypervisors), " ".join(groups), *rows]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as machine:
        lines = [show(line) for line in machine.stdout]
    if machine.returncode:
        sys.exit(f"bench: the emulated machine ended with status {machine.returncode}; its console is {BUILD}/console")
    return table(line.rstrip("\n").split("\t") for line in lines if line.count("\t") == 3)


def show(line):
    """Progress, and what is no figure."""
    sys.stderr.write(line.expandtabs(16))
    sys.stderr.flush()
    return line


def table(lines):
    rows = {}
    for hypervisor, name, ticks, title in lines:
        rows.setdefault(name, Row(name, title, {})).ticks[hypervisor] = int(ticks)
    return list(rows.values())
