"""What pip is told on this machine (where its index is, whose certificates it trusts), lent to a build and to nothing
else.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

# What says where packages come from and how; the rest is about this machine's own environments.
LENT = {"index-url", "extra-index-url", "no-index", "find-links", "trusted-host", "cert", "client-cert", "proxy"} | {
    "timeout",
    "default-timeout",
    "retries",
}


def pip_settings() -> dict[str, str]:
    """As pip itself reads its files and its environment: name -> value."""
    listed = subprocess.run(
        [sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True
    ).stdout
    found = re.findall(r"^(global|install|:env:)\.([a-z-]+)=(.*)$", listed, re.MULTILINE)
    ranks = ("global", "install", ":env:")  # the last one wins
    found.sort(key=lambda item: ranks.index(item[0]))
    return {name: " ".join(str(ast.literal_eval(value)).split()) for _, name, value in found if name in LENT}


def lend(settings: dict[str, str], folder: Path) -> list[str]:
    """Options of `buildah build`: the settings as /etc/pip.conf, and what they name on this machine's disk; all
    read-only.

    folder: where the file is written
    """
    if not settings:
        return []
    file = folder / "pip.conf"
    file.write_text("[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items()))
    mounts = {Path("/etc/pip.conf"): file}
    for word in " ".join(settings.values()).split():
        path = Path(word.removeprefix("file://"))
        if word.startswith("file://") and path.name == "simple":
            path = path.parent  # an index, whose pages point to files beside it
        if path.is_absolute() and path.exists():
            mounts[path] = path.resolve()
    return [option for inside, here in mounts.items() for option in ("--volume", f"{here}:{inside}:ro")]


def places(settings: dict[str, str]) -> list[str]:
    """What would give away where the packages came from."""
    named = [settings.get(name, "") for name in ("index-url", "extra-index-url", "find-links", "trusted-host", "proxy")]
    return " ".join(named).split()


def install(root: Path) -> None:
    """Lend the settings to another system's root: its /etc/pip.conf, and what they name on this machine's disk."""
    settings = {name: value for name, value in pip_settings().items() if name != "cert"}
    (root / "etc" / "pip.conf").write_text(
        "[global]\n" + "".join(f"{name} = {value}\n" for name, value in settings.items())
    )
    for word in " ".join(settings.values()).split():
        path = Path(word.removeprefix("file://"))
        path = path.parent if word.startswith("file://") and path.name == "simple" else path
        if path.is_absolute() and path.exists():
            (root / path.relative_to("/")).mkdir(parents=True, exist_ok=True)
            subprocess.run(["mount", "--bind", str(path.resolve()), str(root / path.relative_to("/"))], check=True)


if __name__ == "__main__":
    install(Path(sys.argv[1]))
