# SPDX-License-Identifier: GPL-2.0-only
"""
Bochs: its configuration, the disk it boots from, its process and its channels.

A run owns one temporary folder, and nothing outside it. The folder goes with
the run whichever way that ends, even if this process is killed: a shell in a
session of its own waits for the pipe from us to close, then removes it. Bochs
itself gets SIGKILL from the kernel when we die.
"""

import ctypes
import json
import os
import pty
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import tty
from pathlib import Path

from problem import Problem, EMULATOR

HERE = Path(__file__).resolve().parent
BOCHS = "/usr/bin/bochs-bin"
PLUGINS = Path("/usr/lib/x86_64-linux-gnu/bochs/plugins")

# Friendly name: Bochs' name. What each offers is told in README.rst.
CPUS = {
    "penryn": "core2_penryn_t9600",
    "lynnfield": "corei5_lynnfield_750",
    "arrandale": "corei5_arrandale_m520",
    "sandybridge": "corei7_sandy_bridge_2600k",
    "ivybridge": "corei7_ivy_bridge_3770k",
    "haswell": "corei7_haswell_4770",
    "broadwell": "broadwell_ult",
    "skylake": "corei7_skylake_x",
    "turion": "turion64_tyler",
    "phenom": "phenom_8650_toliman",
    "trinity": "trinity_apu",
    "novmx": "athlon64_venice",
}
PLAIN_CPUS = ("athlon64_clawhammer", "athlon64_venice", "zambezi", "ryzen", "corei3_cnl", "corei7_icelake_u", "tigerlake",
              *(name for name in CPUS.values() if name not in CPUS))

# The emulated clock advances by this many instructions a second, unless the host wants more.
IPS = 20_000_000

# How many stretches between two "xchg %bx, %bx" can be traced
TRACED = 1000

CHUNK = 64 * 1024               # boot.S reads the disk in these
BOOT_PARAMS = 0x10000
COMMAND_LINE = BOOT_PARAMS + 0x1000
COMMAND_LINE_MAX = 2047         # COMMAND_LINE_SIZE of x86, less the final zero
ENTRY_AT = 0x1b0                # `entry` and `extents` in boot.S
EXTENTS_AT = ENTRY_AT + 4
EXTENTS_END = 0x1fe - 8         # the last one is zero

CONFIGURATION = """
display_library: term
plugin_ctrl: biosdev=0, extfpuirq=0, speaker=0, parallel=0, gameport=0, iodebug=0
cpu: model={cpu}, count=1:{cpus}:1, ips={ips}, quantum=32, reset_on_triple_fault=0, ignore_bad_msrs=1
megs: {mem}
clock: sync=none, time0=utc
magic_break: enabled={magic}
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
vga: extension=vbe, update_freq=10
pci: enabled=1, chipset=i440fx
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path="{folder}/disk", mode=flat, translation=lba
boot: disk
com1: enabled=1, mode=file, dev="{folder}/console"
com2: enabled=1, mode=socket-client, dev=127.0.0.1:{port}
com3: enabled=1, mode=file, dev="{folder}/events"
log: {folder}/log
logprefix: %t%e%d
panic: action=fatal
error: action={errors}
info: action=ignore, pc_system=report
debug: action=ignore
"""


class TemporaryFolder:
    """A folder that disappears with us, in whatever way we go."""

    def __init__(self):
        self.path = Path(tempfile.mkdtemp(prefix="thv-machine."))
        try:
            self.janitor = subprocess.Popen(
                ["sh", "-c", 'trap "" INT TERM HUP QUIT; read _; rm -rf -- "$1"', "sh", self.path],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                start_new_session=True)
        except BaseException:
            shutil.rmtree(self.path)
            raise

    def remove(self):
        self.janitor.stdin.close()
        self.janitor.wait()


def boot_sector(folder, entry, extents):
    """Assemble boot.S and fill in where the disk's stream goes."""
    try:
        subprocess.run(["gcc", "-m32", "-c", HERE / "boot.S", "-o", folder / "boot.o"], check=True)
        subprocess.run(["ld", "-m", "elf_i386", "-Ttext", "0x7c00", "-e", "start", "--oformat", "binary",
                        "-o", folder / "boot", folder / "boot.o"], check=True)
    except (FileNotFoundError, subprocess.CalledProcessError):
        raise Problem("the boot sector cannot be assembled", "run scripts/install-packages")
    sector = bytearray((folder / "boot").read_bytes())
    if EXTENTS_AT + 8 * len(extents) > EXTENTS_END:
        raise Problem("the kernel lies in too many pieces for the boot sector", "widen the gaps in hostkernel.runs()")
    struct.pack_into("<I", sector, ENTRY_AT, entry)
    for i, extent in enumerate(extents):
        struct.pack_into("<II", sector, EXTENTS_AT + 8 * i, *extent)
    return bytes(sector)


def boot_params(kernel, command_line, initrd, initrd_size):
    """struct boot_params and, a page further, the command line."""
    if len(command_line) > COMMAND_LINE_MAX:
        raise Problem(f"the kernel's command line has {len(command_line)} characters, more than {COMMAND_LINE_MAX}",
                      "give less with --append")
    page = bytearray(0x1000)
    header = bytes.fromhex(kernel["setup_header"])
    page[0x1f1:0x1f1 + len(header)] = header
    page[0x210] = 0xff                                   # type_of_loader: none of the known
    page[0x211] |= 1                                     # loadflags: LOADED_HIGH
    struct.pack_into("<II", page, 0x218, initrd, initrd_size)
    struct.pack_into("<I", page, 0x228, COMMAND_LINE)
    return bytes(page) + command_line.encode() + b"\0"


def write_disk(folder, kernel_folder, command_line, initramfs, mem):
    """The disk: one stream of chunks, see boot.S."""
    kernel = json.loads((kernel_folder / "kernel.json").read_text())
    initrd = -(-kernel["end"] // CHUNK) * CHUNK          # behind the kernel's bss
    if initrd + len(initramfs) + 0x100000 > mem << 20:
        raise Problem(f"{mem} MiB of memory cannot hold the kernel and {len(initramfs) >> 20} MiB of files",
                      "give more with --mem")
    params = boot_params(kernel, command_line, initrd, len(initramfs))
    image = kernel_folder / "kernel.bin"
    extents = [(BOOT_PARAMS, chunks(len(params))),
               *((kernel["load"] + start * CHUNK, end - start) for start, end in kernel["runs"]),
               (initrd, chunks(len(initramfs)))]
    with open(folder / "disk", "wb") as disk, open(image, "rb") as kernel_file:
        disk.write(boot_sector(folder, kernel["entry"], extents))
        pad(disk)
        disk.write(params)
        pad(disk)
        for start, end in kernel["runs"]:
            kernel_file.seek(start * CHUNK)
            disk.write(kernel_file.read((end - start) * CHUNK))
            pad(disk)
        disk.write(initramfs)
        # Bochs wants whole cylinders: 16 heads of 63 sectors.
        pad(disk)
        pad(disk, 16 * 63 * 512)


def pad(disk, unit=CHUNK):
    """Let the next byte stand at a multiple of the unit."""
    disk.truncate(-(-disk.tell() // unit) * unit)
    disk.seek(0, os.SEEK_END)


def chunks(size):
    return -(-size // CHUNK)


class Emulator:
    """A running Bochs and its channels, for the caller to poll.

    console   the host's first serial port     terminal  its second, both ways
    events    its third                        screen    the display, once there is one
    output    what Bochs and its debugger say  log       Bochs' log
    ended     readable when Bochs has ended
    """

    def __init__(self, folder, cpu, cpus, mem, ips, errors, trace=False):
        check_installed()
        self.process = None
        self.terminal = None
        self.console = fifo(folder / "console")
        self.events = fifo(folder / "events")
        self.log = fifo(folder / "log")
        listener = socket.create_server(("127.0.0.1", 0))
        # Debian's Bochs starts in its debugger. When a command there fails it waits for one.
        (folder / "go").write_text("c\n" + (TRACED * "trace on\nc\ntrace off\nc\n" if trace else ""))
        (folder / "bochsrc").write_text(CONFIGURATION.format(
            cpu=cpu, cpus=cpus, mem=mem, ips=ips, folder=folder, port=listener.getsockname()[1],
            errors="report" if errors else "ignore", magic=int(trace)))
        self.output, slave = pty.openpty()
        tty.setraw(slave)
        parent = os.getpid()
        try:
            self.process = subprocess.Popen(
                [BOCHS, "-q", "-f", folder / "bochsrc", "-rc", folder / "go"],
                stdin=slave, stdout=slave, stderr=slave, cwd=folder, start_new_session=True,
                env={"PATH": "/usr/bin:/bin", "TERM": "vt100", "LANG": "C"},
                preexec_fn=lambda: die_with(parent))
        finally:
            os.close(slave)
        self.terminal = self.accept(listener)
        self.ended = os.pidfd_open(self.process.pid)

    def accept(self, listener):
        """Bochs connects to us as it starts: no port number can be taken by another."""
        listener.settimeout(0.2)
        with listener:
            for _ in range(150):
                try:
                    connection, _ = listener.accept()
                    connection.setblocking(False)
                    return connection
                except TimeoutError:
                    if self.process.poll() is not None:
                        break
        self.kill()
        raise Problem("Bochs did not start", "see its messages above", EMULATOR, self.last_words())

    def open_screen(self, path):
        """Bochs makes a terminal of its own for its display, and says its name."""
        self.screen = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self.screen)             # no echo: it would come back as keystrokes
        return self.screen

    def last_words(self):
        text = b""
        for fd in (self.output, self.log):
            try:
                text += os.read(fd, 1 << 16)
            except OSError:
                pass
        return text.decode(errors="replace")

    def cpu_seconds(self):
        """CPU time used so far: the measure of work that other load does not change."""
        try:
            fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
            return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        except (OSError, IndexError):
            return 0.0

    def kill(self):
        if self.process:
            self.process.kill()
            self.process.wait()


def check_installed():
    if not os.path.exists(BOCHS):
        raise Problem("Bochs is not installed", "run scripts/install-packages")
    if not (PLUGINS / "libbx_term_gui.so").exists():
        raise Problem("Bochs' text display (Debian package bochs-term) is not installed", "run scripts/install-packages")


def fifo(path):
    """A pipe that Bochs takes for a file. Open for writing too, so that it never tells end-of-file."""
    os.mkfifo(path, 0o600)
    return os.open(path, os.O_RDWR | os.O_NONBLOCK)


def die_with(parent):
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)           # PR_SET_PDEATHSIG
    if os.getppid() != parent:                           # too late: it has died already
        os._exit(1)
