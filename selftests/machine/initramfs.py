# SPDX-License-Identifier: GPL-2.0-only
"""
The host's file system: busybox, /init, and what the caller wants in it.

Everything is written into one cpio archive ("newc", which is all the kernel
needs to know), uncompressed, because copying is cheap in the emulator and
computing is not.
"""

import lzma
import os
import re
import shlex
import stat
import subprocess
from pathlib import Path

from problem import Problem

HERE = Path(__file__).resolve().parent
BUSYBOX = Path("/usr/bin/busybox")
TERMINFO = Path("/lib/terminfo")

FOLDERS = """bin dev etc lib lib64 machine mnt opt proc root run sbin sys tmp usr usr/bin usr/lib usr/lib64
             usr/local usr/local/bin usr/sbin var var/log var/tmp home home/student""".split()

TERMINALS = ("l/linux", "s/screen", "t/tmux", "v/vt100", "v/vt220", "x/xterm", "x/xterm-256color")

TEXTS = {
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
                  "student:x:1000:1000:a plain user:/home/student:/bin/sh\n"
                  "nobody:x:65534:65534:nobody:/:/bin/false\n",
    "etc/group": "root:x:0:\ntty:x:5:\nstudent:x:1000:\nthv:x:200:\nnogroup:x:65534:\n",
    "etc/shadow": "root::1::::::\nstudent::1::::::\n",
    "etc/hosts": "127.0.0.1 localhost machine\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\n",
    "etc/fstab": "proc /proc proc defaults\n"
                 "sys /sys sysfs defaults\n"
                 "pts /dev/pts devpts ptmxmode=666\n"
                 "tmp /tmp tmpfs mode=1777\n"
                 "shm /dev/shm tmpfs mode=1777\n"
                 "run /run tmpfs mode=755\n"
                 "debug /sys/kernel/debug debugfs defaults\n"
                 "trace /sys/kernel/tracing tracefs defaults\n"
                 "cgroup /sys/fs/cgroup cgroup2 defaults\n",
}


class Archive:
    """A cpio archive in the making. Every path is relative to the root."""

    def __init__(self):
        self.parts = []
        self.names = set()

    def add(self, name, mode, data=b"", device=(0, 0), owner=0):
        name = os.path.normpath(name).lstrip("/")
        if name in self.names:
            return
        self.names.add(name)
        path = name.encode() + b"\0"
        fields = (len(self.names), mode, owner, owner, 1, 0, len(data), 0, 0, *device, len(path), 0)
        header = b"070701" + b"".join(b"%08x" % field for field in fields)
        self.parts += [header, path, padding(len(header) + len(path)), data, padding(len(data))]

    def folder(self, name, mode=0o755, owner=0):
        name = os.path.normpath(name).lstrip("/")
        parent = os.path.dirname(name)
        if parent:
            self.folder(parent)
        if name and name != ".":
            self.add(name, stat.S_IFDIR | mode, owner=owner)

    def file(self, name, data, mode=0o644):
        self.folder(os.path.dirname(name) or "/")
        self.add(name, stat.S_IFREG | mode, data)

    def link(self, name, to):
        self.folder(os.path.dirname(name) or "/")
        self.add(name, stat.S_IFLNK | 0o777, os.fsencode(to))

    def device(self, name, mode, major, minor):
        self.add(name, mode, device=(major, minor))

    def finish(self):
        self.names.discard("TRAILER!!!")
        self.add("TRAILER!!!", 0)
        return b"".join(self.parts)


def padding(length):
    return b"\0" * (-length % 4)


def base(archive):
    """A small Linux system: every busybox applet, two users."""
    if not BUSYBOX.exists():
        raise Problem("busybox-static is not installed", "run scripts/install-packages")
    archive.folder("home/student", owner=1000)
    for folder in FOLDERS:
        archive.folder(folder, mode=0o700 if folder == "root" else 0o1777 if folder.endswith("tmp") else 0o755)
    # The kernel opens its first console before devtmpfs can be mounted.
    archive.device("dev/console", stat.S_IFCHR | 0o600, 5, 1)
    archive.device("dev/null", stat.S_IFCHR | 0o666, 1, 3)
    for name, text in TEXTS.items():
        archive.file(name, text.encode(), mode=0o600 if name == "etc/shadow" else 0o644)
    archive.file("bin/busybox", BUSYBOX.read_bytes(), mode=0o755)
    applets = subprocess.run([BUSYBOX, "--list-full"], capture_output=True, text=True, check=True).stdout.split()
    for applet in applets:
        if applet != "bin/busybox":
            archive.link(applet, "/bin/busybox")
    archive.file("init", (HERE / "init").read_bytes(), mode=0o755)
    # What full-screen programs want to know of the terminals a host may be looked at with
    for entry in TERMINALS:
        if (TERMINFO / entry).exists():
            archive.file(f"lib/terminfo/{entry}", (TERMINFO / entry).read_bytes())


def modules(archive, wanted, release, folder):
    """Kernel modules with all they depend on, decompressed, and their modules.dep."""
    table = read_dependencies(folder)
    chosen = {}
    for name in wanted:
        plain = module_name(name)
        if plain not in table:
            raise Problem(f"the host kernel {release} has no module '{name}'", "check the name with modinfo")
        path, needs = table[plain]
        for each in (path, *needs):
            chosen[each] = None
    target = f"lib/modules/{release}"
    for path in chosen:
        data = (folder / path).read_bytes()
        archive.file(f"{target}/{bare(path)}", lzma.decompress(data) if path.endswith(".xz") else data)
    lines = [f"{bare(path)}: {' '.join(map(bare, needs))}\n"
             for path, needs in table.values() if path in chosen]
    archive.file(f"{target}/modules.dep", "".join(lines).encode())
    for name in ("modules.builtin", "modules.order"):
        archive.file(f"{target}/{name}", b"")


def read_dependencies(folder):
    """modules.dep as {module name: (path, [paths it needs])}."""
    table = {}
    for line in (folder / "modules.dep").read_text().splitlines():
        path, _, needs = line.partition(":")
        table[module_name(path)] = (path, needs.split())
    return table


def module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", os.path.basename(path)).replace("-", "_")


def bare(path):
    return path.removesuffix(".xz")


def caller_files(archive, specs):
    """Each SRC[:DEST], and the shared libraries of whatever programs are in it."""
    libraries = set()
    for spec in specs:
        source, _, target = spec.partition(":")
        source = Path(source)
        if not source.exists():
            raise Problem(f"--file {spec}: there is no '{source}'", "build it first, or check the path")
        if not target:
            target = f"/root/{source.resolve().name}"
        elif target.endswith("/"):
            target += source.resolve().name
        for path in copy(archive, source, target):
            libraries |= needed_libraries(path)
    for path in sorted(libraries):
        archive.file(path, Path(path).read_bytes(), mode=0o755)


def copy(archive, source, target):
    """Add a file or a folder with all below it; yield the regular files' sources."""
    if source.is_dir():
        archive.folder(target)
        for entry in sorted(source.iterdir()):
            if entry.is_symlink():
                archive.link(f"{target}/{entry.name}", os.readlink(entry))
            elif entry.is_dir() or entry.is_file():
                yield from copy(archive, entry, f"{target}/{entry.name}")
    else:
        executable = source.stat().st_mode & 0o111
        archive.file(target, source.read_bytes(), mode=0o755 if executable else 0o644)
        yield source


def needed_libraries(path):
    """What the loader would load for a dynamically linked program, and itself."""
    with open(path, "rb") as file:
        head = file.read(18)
    if head[:4] != b"\x7fELF" or head[16] not in (2, 3):      # ET_EXEC, ET_DYN
        return set()
    listed = subprocess.run(["ldd", path.resolve()], capture_output=True, text=True).stdout
    if "=> not found" in listed:
        missing = re.search(r"(\S+) => not found", listed)[1]
        raise Problem(f"{path} needs the shared library {missing}, which is not installed", "install it")
    return set(re.findall(r"(?:=> |^\s*)(/\S+) \(0x", listed, re.MULTILINE))


def job(archive, command, environment, stdin=None):
    """What /init runs. One argument is a line for the shell, several are a command."""
    line = command[0] if len(command) == 1 else f"exec {shlex.join(command)}"
    archive.file("machine/command", f"#!/bin/sh\n{line}\n".encode(), mode=0o755)
    archive.file("machine/environment",
                 "".join(f"export {k}={shlex.quote(v)}\n" for k, v in environment.items()).encode())
    if stdin is not None:
        archive.file("machine/input", stdin)
