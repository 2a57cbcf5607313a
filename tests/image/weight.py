"""`make image`: what the image weighs above its base, by package; the table goes into docs/image.md."""

from __future__ import annotations

import csv
import io
import sys
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from laptop.service import CHECKOUT
from tests.image.build import BASE, Build, missing

PAGE = CHECKOUT / "docs" / "image.md"
BEGIN, END = "<!-- make image: from here -->", "<!-- make image: to here -->"
VENV, APP = Path("opt/venv"), Path("app")
BYTECODE = APP / "bytecode"
SHOWN_MB = 1.0
OURS, LIBRARY, REST = "of ours", "Python's standard library", "the environment itself"


@dataclass
class Weight:
    """Bytes of a package's files, and of the bytecode of its modules."""

    files: int = 0
    bytecode: int = 0

    @property
    def mb(self) -> float:
        return (self.files + self.bytecode) / 1e6


def weigh(root: Path) -> dict[str, Weight]:
    """What an image adds to its base, by package (`name version`), as each one's RECORD says whose a file is."""
    owners = _owners(root)
    weights: dict[str, Weight] = defaultdict(Weight)
    for folder in (VENV, APP):
        for path in (root / folder).rglob("*"):
            if path.is_symlink() or not path.is_file():
                continue
            inside = path.relative_to(root)
            if inside.is_relative_to(BYTECODE):
                # .../module.cpython-313.pyc of .../module.py
                source = inside.relative_to(BYTECODE).with_name(path.name.split(".")[0] + ".py")
                weights[_owner(source, owners)].bytecode += path.stat().st_size
            else:
                weights[_owner(inside, owners)].files += path.stat().st_size
    return dict(weights)


def _owners(root: Path) -> dict[Path, str]:
    found = {}
    for record in (root / VENV).rglob("*.dist-info/RECORD"):
        name, version = record.parent.name.removesuffix(".dist-info").split("-", 1)
        for line in csv.reader(io.StringIO(record.read_text())):
            path = (record.parent.parent / line[0]).resolve()
            if path.is_relative_to(root):
                found[path.relative_to(root)] = f"{name.replace('_', '-').lower()} {version}"
    return found


def _owner(path: Path, owners: dict[Path, str]) -> str:
    if path in owners:
        return owners[path]
    if path.is_relative_to(APP):
        return OURS
    return REST if path.is_relative_to(VENV) else LIBRARY


def table(weights: dict[str, Weight]) -> str:
    """Markdown; the largest first, those below SHOWN_MB in one row."""
    ordered = sorted(weights.items(), key=lambda item: -item[1].mb)
    shown = [(name, weight) for name, weight in ordered if weight.mb >= SHOWN_MB]
    others = [weight for _, weight in ordered if weight.mb < SHOWN_MB]
    shown.append((f"{len(others)} others", _sum(others)))
    shown.append(("**all**", _sum(list(weights.values()))))
    rows = [f"| {name} | {weight.mb:.1f} | {weight.bytecode / 1e6:.1f} |" for name, weight in shown]
    return "\n".join(["| package | MB | of it bytecode |", "| --- | --- | --- |", *rows])


def _sum(weights: list[Weight]) -> Weight:
    return Weight(sum(weight.files for weight in weights), sum(weight.bytecode for weight in weights))


def read_table(text: str) -> dict[str, float]:
    """package -> MB, of a page."""
    lines = text.partition(BEGIN)[2].partition(END)[0].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines if line.startswith("| ")]
    return {name: float(mb) for name, mb, _ in cells[2:]}


def main() -> int:
    """0, or 2 where this machine can't build."""
    reason = missing()
    if reason is not None:
        print(f"image: {reason}", file=sys.stderr)
        return 2
    with Build(Path(tempfile.mkdtemp(prefix="tosia-image-"))) as build:
        print(f"Making a stand-in for {BASE} (a minute) ...", file=sys.stderr)
        build.make_base()
        print("Building Dockerfile.frontend (two minutes) ...", file=sys.stderr)
        build.build()
        weights = weigh(build.mount())
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    PAGE.write_text(f"{before}{BEGIN}\n{table(weights)}\n{END}{after}")
    print(table(weights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
