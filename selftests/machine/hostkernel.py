# SPDX-License-Identifier: GPL-2.0-only
"""
The host kernels: Debian's packages, fetched, unpacked and made bootable.

Nothing is installed and nothing is rebuilt (but for "debug", which is nowhere to
be had: scripts/debug-kernel builds it). A kernel is decompressed here, on the
real processor, and its ELF segments are laid out as they will lie in memory;
boot.S then only copies. All of it is kept in build/machine/RELEASE/ and made
once; a lock on build/machine lets several machines start at a time.
"""

import contextlib
import fcntl
import json
import lzma
import os
import re
import shutil
import struct
import subprocess
from pathlib import Path

from problem import Problem

CHECKOUT = Path(__file__).resolve().parents[2]
CACHE = CHECKOUT / "build" / "machine"

# To be raised when what prepare() leaves behind changes.
LAYOUT = 2

# Host name: the release's pattern, and the metapackage that leads to the newest.
HOSTS = {
    "6.1": (r"6\.1\.0-\d+-amd64", "linux-image-amd64"),
    "6.12": (r"6\.12\.\d+\+deb\d+-amd64", "linux-image-6.12-amd64"),
}

# The one that watches. What it is built for is its complaints: each ends the run. A third of its
# start would be files in /sys/kernel/slab that nobody reads.
DEBUG = "debug"
DEBUG_KERNEL = CHECKOUT / "scripts" / "debug-kernel"
NAMES = (*HOSTS, DEBUG)


# Instructions that its clock counts as a second: it carries out so many more for the same work that
# tests would run into their limits of time.
IPS_DEBUG = 80_000_000


def parameters(host):
    """What this host wants on its command line."""
    return ("panic_on_warn=1", "initcall_blacklist=slab_sysfs_init,blake2s_mod_init") if host == DEBUG else ()


def release(host):
    """The exact release (uname -r) of a host: the headers' if there are any.

    Modules are built against the installed headers, so a kernel of another
    build would refuse them.
    """
    if host == DEBUG:
        return run([DEBUG_KERNEL, "--release"]).strip()
    pattern, meta = HOSTS[host]
    headers = [m[1] for p in Path("/usr/src").glob("linux-headers-*")
               if (m := re.fullmatch(f"linux-headers-({pattern})", p.name))]
    if headers:
        return max(headers, key=lambda r: [int(n) for n in re.findall(r"\d+", r)])
    shown = subprocess.run(["apt-cache", "depends", meta], capture_output=True, text=True)
    if m := re.search(rf"Depends: linux-image-({pattern})\b", shown.stdout):
        return m[1]
    raise Problem(f"no Debian kernel {host} is known here",
                  f"run 'apt-get update', or install linux-headers for {host}")


def prepare(host, say=lambda text: None):
    """The folder with `kernel.bin`, `kernel.json` and `modules/` of a host."""
    version = release(host)
    target = CACHE / version
    if is_prepared(target):
        return target
    with cache_lock():
        if not is_prepared(target):        # somebody else may have been first
            part = CACHE / f"{version}.part"
            for old in (part, target):
                shutil.rmtree(old, ignore_errors=True)
            try:
                (build_debug if host == DEBUG else build)(version, part, say)
                part.rename(target)        # whole or not at all
            finally:
                shutil.rmtree(part, ignore_errors=True)
    return target


def is_prepared(folder):
    try:
        return json.loads((folder / "kernel.json").read_text())["layout"] == LAYOUT
    except (OSError, ValueError, KeyError):
        return False


@contextlib.contextmanager
def cache_lock():
    """Hold the cache. The lock is on the folder itself: no lock file is left."""
    CACHE.mkdir(parents=True, exist_ok=True)
    fd = os.open(CACHE, os.O_RDONLY)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def build(version, folder, say):
    package = folder / "package"
    package.mkdir(parents=True)
    say(f"fetching the Debian package linux-image-{version}")
    run(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root",
         f"linux-image-{version}"], cwd=folder,
        remedy=f"run 'apt-get update'; if the archive has dropped {version}, upgrade the linux-headers")
    deb, = folder.glob("*.deb")
    say(f"unpacking {version}")
    run(["dpkg-deb", "-x", deb, package])
    deb.unlink()
    run(["depmod", "-b", package, version])
    (package / "lib/modules" / version).rename(folder / "modules")
    finish(version, folder, package / "boot" / f"vmlinuz-{version}", say)
    shutil.rmtree(package)


def build_debug(version, folder, say):
    say("building the debug kernel, which takes some ten minutes")
    tree = Path(run([DEBUG_KERNEL]).splitlines()[-1])
    (folder / "modules").mkdir(parents=True)
    (folder / "modules" / "modules.dep").touch()        # it has none
    finish(version, folder, tree / "arch/x86/boot/bzImage", say)


def finish(version, folder, bzimage, say):
    say(f"laying out the kernel of {version}")
    image = bzimage.read_bytes()
    memory, description = lay_out(elf_of(image))
    (folder / "kernel.bin").write_bytes(memory)
    description |= {"layout": LAYOUT, "release": version, "setup_header": setup_header(image).hex()}
    (folder / "kernel.json").write_text(json.dumps(description, indent=1) + "\n")


def run(command, remedy="see the message above", **more):
    """Its standard output."""
    try:
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **more).stdout
    except FileNotFoundError:
        raise Problem(f"the program '{command[0]}' is missing", "run scripts/install-packages")
    except subprocess.CalledProcessError as error:
        raise Problem(f"'{command[0]}' failed with status {error.returncode}", remedy)


def setup_header(image):
    """The part of a bzImage that belongs into boot_params, from offset 0x1f1 on."""
    if image[0x202:0x206] != b"HdrS":
        raise Problem("the package's vmlinuz is not a bzImage", "report this: the package's layout has changed")
    return image[0x1f1:0x202 + image[0x201]]


def elf_of(image):
    """The kernel's ELF file out of a bzImage: what its own decompressor would see."""
    setup_sectors = image[0x1f1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sectors + 1) * 512 + offset
    return decompress(image[start:start + length])


def decompress(payload):
    # The payload's last four bytes are its uncompressed size, not data.
    if payload.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(payload)
    tools = {b"\x28\xb5\x2f\xfd": "zstd", b"\x02\x21\x4c\x18": "lz4"}
    tool = tools.get(payload[:4])
    if not tool:
        raise Problem("the kernel is compressed in an unknown way", "report this: the package's layout has changed")
    try:
        done = subprocess.run([tool, "-dc"], input=payload[:-4], capture_output=True)
    except FileNotFoundError:
        raise Problem(f"the program '{tool}' is missing", "run scripts/install-packages")
    if not done.stdout.startswith(b"\x7fELF"):
        raise Problem(f"{tool} cannot decompress the kernel: {done.stderr.decode(errors='replace').strip()}",
                      "remove build/machine and try again")
    return done.stdout


def lay_out(elf):
    """The loadable segments as they lie in physical memory, and where that is."""
    entry, phoff = struct.unpack_from("<QQ", elf, 0x18)
    phentsize, phnum = struct.unpack_from("<HH", elf, 0x36)
    segments = []
    for i in range(phnum):
        kind, _flags, offset, _vaddr, paddr, filesz, memsz, _align = \
            struct.unpack_from("<IIQQQQQQ", elf, phoff + i * phentsize)
        if kind == 1:                      # PT_LOAD
            segments.append((paddr, offset, filesz, memsz))
    load = min(paddr for paddr, *_ in segments)
    memory = bytearray(max(paddr + filesz for paddr, _, filesz, _ in segments) - load)
    for paddr, offset, filesz, _memsz in segments:
        memory[paddr - load:paddr - load + filesz] = elf[offset:offset + filesz]
    end = max(paddr + memsz for paddr, _, _, memsz in segments)
    return memory, {"load": load, "end": end, "entry": entry, "runs": runs(memory)}


def runs(memory, chunk=1 << 16, gap=32):
    """[(start, end)] of what is not zero, in chunks; gaps of less than two MiB don't count.

    Half of a kernel is zeros, which a machine's memory holds anyway.
    """
    zero = bytes(chunk)
    found = []
    for i, start in enumerate(range(0, len(memory), chunk)):
        if memory[start:start + chunk] != zero[:len(memory) - start]:
            if found and i - found[-1][1] < gap:
                found[-1][1] = i + 1
            else:
                found.append([i, i + 1])
    return found
