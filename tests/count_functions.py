"""Counts our functions that run for one warm POST, each once, in the front end and its workers.

    .venv/bin/python tests/count_functions.py [CHECKOUT]

CHECKOUT: another commit of this repository, checked out with the same environments. It serves on the real Triton; a
profiler in every process notes which functions of the checkout run. Functions that also run while nothing is asked
(the loops that watch Triton, the stores and the event loop) are not counted, nor are comprehensions.

Prints a line for each function, with its module, and the count last.
"""

from __future__ import annotations

import mmap
import os
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

SITE = """
import mmap, os, sys, threading
_root, _out = os.environ["COUNT_ROOT"], os.environ["COUNT_OUT"]
if os.environ.get("COUNT_SERVER") in sys.orig_argv or any("forkserver" in word for word in sys.orig_argv):
    _phase = mmap.mmap(os.open(_out + "/phase", os.O_RDWR), 1)
    _seen = set()
    def _note(frame, event, argument):
        if event != "call" or _phase[0] == 48:
            return
        code = frame.f_code
        key = (_phase[0], code.co_filename, code.co_qualname, os.getpid())
        if key in _seen:
            return
        _seen.add(key)
        ours = code.co_filename.startswith(_root) and "site-packages" not in code.co_filename
        if ours and not code.co_name.startswith(("<module", "<list", "<gen", "<dict", "<set")):
            with open(f"{_out}/calls", "a") as file:
                file.write(f"{chr(_phase[0])} {code.co_filename[len(_root):]} {code.co_qualname}\\n")
    threading.setprofile(_note)
    sys.setprofile(_note)
"""
OFF, IDLE, POST = b"0", b"1", b"2"
IDLE_S = 4.0
SETTLE_S = 0.5  # log lines and callbacks follow the answer


def main(checkout: Path) -> int:
    sys.path.insert(0, str(checkout))
    from laptop.service import Service
    from local_triton.ports import free_ports

    recording = (checkout / "samples" / "preprocessing" / "benchmark_1" / "raw.ogg").read_bytes()
    with tempfile.TemporaryDirectory(prefix="tosia-count-") as folder:
        (Path(folder) / "sitecustomize.py").write_text(SITE)
        file = Path(folder) / "phase"
        file.write_bytes(OFF)
        os.environ |= {
            "PYTHONPATH": folder, "COUNT_ROOT": f"{checkout}/", "COUNT_OUT": folder, "COUNT_SERVER": "frontend"
        }  # fmt: skip
        port, metrics_port = free_ports(2)
        key = "count-functions"
        with (
            file.open("r+b") as opened,
            mmap.mmap(opened.fileno(), 1) as phase,
            Service(port=port, metrics_port=metrics_port, api_key=key, var=Path(folder) / "var") as service,
        ):
            for _ in range(6):  # every worker has had one, and what is kept for later is kept
                post(service.url, key, recording)
            time.sleep(SETTLE_S)
            phase[0] = IDLE[0]
            time.sleep(IDLE_S)
            phase[0] = POST[0]
            post(service.url, key, recording)
            time.sleep(SETTLE_S)
            phase[0] = OFF[0]
        calls = {tuple(line.split(" ", 1)) for line in (Path(folder) / "calls").read_text().splitlines()}
    idle = {what for number, what in calls if number == IDLE.decode()}
    counted = sorted(what for number, what in calls if number == POST.decode() and what not in idle)
    print("\n".join(counted))
    print(len(counted))
    return 0


def post(url: str, key: str, recording: bytes) -> None:
    """A new recording, as a form, with an id of our own making."""
    head = 'Content-Disposition: form-data; name="audio"; filename="note.ogg"\r\nContent-Type: audio/ogg\r\n\r\n'
    body = b"--x\r\n" + head.encode() + recording + b"\r\n--x--\r\n"
    headers = {"X-API-Key": key, "Content-Type": "multipart/form-data; boundary=x"}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(urllib.request.Request(f"{url}/v1/diagnoses", body, headers)) as answer:
        assert answer.status == 201, answer.status
        answer.read()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent.parent).resolve()))
