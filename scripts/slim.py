"""Takes out of an environment what a server never reads: `python slim.py` in the environment that is to lose it.

- tests of packages, stubs for type checkers, and sources in C, Cython and Fortran: there is no compiler
- of shared libraries the tail behind all that is ever loaded: symbol tables, debugging information, the table of
  sections. `strip` does the same where binutils are installed, but moves what is left, and some libraries out of wheels
  break by that (patchelf has moved their parts before). Here nothing moves. Stack traces out of C name fewer functions.

Prints what that saved. Standard library only, any Python 3.
"""

import shutil
import struct
import sys
import sysconfig
from pathlib import Path

FOLDERS = ("test", "tests")
SOURCES = (".a", ".c", ".cc", ".cpp", ".f", ".f90", ".h", ".hpp", ".pxd", ".pxi", ".pyi", ".pyx")
ELF_64_LITTLE = b"\x7fELF\x02\x01"


def main() -> int:
    site_packages = Path(sysconfig.get_path("purelib"))
    whole = size_of(site_packages)
    remove(site_packages)
    without_sources = size_of(site_packages)
    for library in sorted(site_packages.rglob("*.so*")):
        if library.is_file() and not library.is_symlink():
            cut_tail(library)
    left = size_of(site_packages)
    shares = (whole - without_sources, without_sources - left, left)
    print(
        "slim: {:.0f} MB of tests and sources, {:.0f} MB of symbols; {:.0f} MB are left".format(
            *(share / 1e6 for share in shares)
        )
    )
    return 0


def size_of(folder: Path) -> int:
    """Bytes in files."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())


def remove(site_packages: Path) -> None:
    """Tests and sources, of packages only: a folder at the top is a package of its own."""
    for path in sorted(site_packages.glob("*/**/*")):
        if path.name in FOLDERS and path.is_dir():
            shutil.rmtree(path)
        elif path.suffix in SOURCES and path.is_file():
            path.unlink()


def cut_tail(library: Path) -> int:
    """The file ends where its last segment ends.

    Returns the bytes saved; anything but a 64-bit ELF file is left alone.
    """
    content = library.read_bytes()
    if not content.startswith(ELF_64_LITTLE):
        return 0
    (table,) = struct.unpack_from("<Q", content, 32)  # e_phoff, e_phentsize, e_phnum
    entry_size, n_entries = struct.unpack_from("<HH", content, 54)
    end = table + entry_size * n_entries
    for place in range(table, end, entry_size):
        offset, size = struct.unpack_from("<Q", content, place + 8), struct.unpack_from("<Q", content, place + 32)
        end = max(end, offset[0] + size[0])
    if end >= len(content):
        return 0
    head = bytearray(content[:end])
    struct.pack_into("<Q", head, 40, 0)  # e_shoff: there is no table of sections
    struct.pack_into("<HH", head, 60, 0, 0)  # e_shnum, e_shstrndx
    library.write_bytes(head)
    return len(content) - end


if __name__ == "__main__":
    sys.exit(main())
