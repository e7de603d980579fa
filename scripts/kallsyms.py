# SPDX-License-Identifier: GPL-2.0-only
"""
The symbols of a kernel that comes without: out of the table that the kernel carries
for its own messages (kernel/kallsyms.c), into an ELF file with a symbol table and
nothing else, which a debugger can load:

    kallsyms.py VMLINUX OUTPUT

Names in that table are made of 256 tokens. The tokens that stand for one digit each
are side by side, and from there the rest is found.
"""

import struct
import sys

TEXT_START = 0xffffffff81000000         # where kernels are linked to
BASE = struct.pack("<Q", TEXT_START)


class NotFound(Exception):
    pass


def u64(image, at):
    return struct.unpack_from("<Q", image, at)[0]


def align(at, to=8):
    return -(-at // to) * to


def find_tokens(image):
    """Where the tokens begin and their index ends, and the tokens."""
    digits = b"".join(b"%d\0" % i for i in range(10))
    at = image.find(digits)
    while at >= 0:
        end = at
        for _ in range(0x30, 0x100):
            end = image.find(b"\0", end) + 1
        for index in range(end, end + 16):
            offsets = struct.unpack_from("<256H", image, index)
            start = at - offsets[0x30]
            apart = [offset - offsets[0x30] for offset in offsets[0x30:0x3a]]
            if offsets[0] == 0 and apart == [*range(0, 20, 2)] and end - start > offsets[0xff]:
                tokens = [image[start + o:image.index(b"\0", start + o)].decode("latin1") for o in offsets]
                return start, index + 512, tokens
        at = image.find(digits, at + 1)
    raise NotFound("no kallsyms tokens")


def name_at(image, at):
    """The bytes of the name there, and where the next is."""
    length = image[at]
    at += 1
    if length & 0x80:
        length = length & 0x7f | image[at] << 7
        at += 1
    return image[at:at + length], at + length


def is_count(image, at):
    """Is that the number of names, followed by so many and by the offset of each 256th?"""
    count = u64(image, at)
    if not 1000 < count < 1 << 20:
        return False
    place, marks = at + 8, []
    try:
        for i in range(count):
            if i % 256 == 0:
                marks.append(place - at - 8)
            _, place = name_at(image, place)
    except IndexError:
        return False
    place = align(place)
    return image[place:place + 4 * len(marks)] == struct.pack(f"<{len(marks)}I", *marks)


def bases(image, start, end):
    """Where the address may be that the symbols' offsets count from."""
    at = image.find(BASE, start, end)
    while at >= 0:
        if at % 8 == 0:
            yield at
        at = image.find(BASE, at + 1, end)


def find_names(image, tokens, behind):
    """Where the number of names is, and the offsets of the symbols; both moved in Linux 6.4."""
    for base in bases(image, 0, tokens):
        if is_count(image, base + 8):
            return base + 8, base - align(4 * u64(image, base + 8))
    for base in bases(image, behind, len(image)):
        for count in ((base - align(behind)) // 4, (base - align(behind)) // 4 - 1):
            at = image.rfind(struct.pack("<Q", count), 0, tokens)
            if at >= 0 and is_count(image, at):
                return at, align(behind)
    raise NotFound("no kallsyms names")


def symbols(image):
    """[(address, type, name)] of a decompressed kernel."""
    start, end, tokens = find_tokens(image)
    count_at, offsets = find_names(image, start, end)
    found, at = [], count_at + 8
    for offset, in struct.iter_unpack("<i", image[offsets:offsets + 4 * u64(image, count_at)]):
        data, at = name_at(image, at)
        name = "".join(tokens[byte] for byte in data)
        # Not negative: absolute, which is within a CPU's own data
        found.append((offset if offset >= 0 else TEXT_START - 1 - offset, name[0], name[1:]))
    return found


def elf(table):
    """An ELF file whose one section, with nothing in it, spans the symbols."""
    table = [entry for entry in table if entry[0] >= TEXT_START]
    low, high = min(a for a, _, _ in table), max(a for a, _, _ in table)
    strings, entries = bytearray(b"\0"), bytearray(24)
    local = [entry for entry in table if entry[1].islower()]
    for address, kind, name in local + [entry for entry in table if not entry[1].islower()]:
        function = kind in "tTwW"
        info = (0 if kind.islower() else 1) << 4 | (2 if function else 1)
        entries += struct.pack("<IBBHQQ", len(strings), info, 0, 1, address, 0)
        strings += name.encode() + b"\0"
    names = b"\0.text\0.symtab\0.strtab\0.shstrtab\0"
    at = 64
    places = []
    for part in (entries, strings, names):
        places.append((at, len(part)))
        at = align(at + len(part))
    sections = [
        (0,) * 10,
        (1, 8, 6, low, 64, high + 4096 - low, 0, 0, 16, 0),                 # .text: NOBITS, ALLOC | EXEC
        (7, 2, 0, 0, *places[0], 3, 1 + len(local), 8, 24),                 # .symtab
        (15, 3, 0, 0, *places[1], 0, 0, 1, 0),                              # .strtab
        (23, 3, 0, 0, *places[2], 0, 0, 1, 0),                              # .shstrtab
    ]
    header = struct.pack("<4sBBBBQHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, low, 0, at, 0,
                         64, 0, 0, 64, len(sections), 4)
    data = bytearray(header)
    for part in (entries, strings, names):
        data += part
        data += bytes(-len(data) % 8)
    for section in sections:
        data += struct.pack("<IIQQQQIIQQ", *section)
    return bytes(data)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__.strip())
    with open(sys.argv[1], "rb") as file:
        kernel = file.read()
    try:
        made = elf(symbols(kernel))
    except NotFound as problem:
        sys.exit(f"kallsyms: {sys.argv[1]}: {problem}; is it a decompressed kernel?")
    with open(sys.argv[2], "wb") as file:
        file.write(made)
