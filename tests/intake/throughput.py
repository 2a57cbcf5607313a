"""`python -m tests.intake.throughput`: how many recordings a second the intake diagnoses, beside REST.

Rounds of both take turns on the same stores (Azurite and the Cosmos server, empty containers each time), the same real
Triton, one worker, and the same recordings. REST gets them from senders that keep it busy; the intake finds its queue
filled. The time of a round is that of its results: from the one after which everything is warm to the last. No test
passes or fails by it.
"""

from __future__ import annotations

import http.client
import statistics
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from laptop.service import CHECKOUT
from local_triton.server import TritonServer
from tests.intake.rig import Rig, intake, new_rig, wait_until
from tests.integration.processes import KEY, front_end, wait_for
from tests.services.azure import Azure
from tests.services.azurite import AzuriteQueues

RECORDINGS, ROUNDS, SENDERS = 200, 3, 8
WARM = 20  # results, while connections are made
SAMPLES = CHECKOUT / "samples" / "preprocessing"


@dataclass(frozen=True)
class Round:
    """Recordings a second."""

    rest: float
    intake: float


def recordings() -> list[bytes]:
    """Each sample in its turn, with a tail of its own: no two have the same digest."""
    files = sorted(SAMPLES.glob("*/raw.ogg"))
    return [files[n % len(files)].read_bytes() + n.to_bytes(4, "big") for n in range(RECORDINGS)]


def per_second(rig: Rig) -> float:
    """Of what is recorded."""
    records = rig.records().values()
    assert {item["state"] for item in records} <= {"diagnosed", "failed"}
    assert len(records) == RECORDINGS
    finished = sorted(datetime.fromisoformat(item["updated_at"]) for item in records)
    return (RECORDINGS - WARM) / (finished[-1] - finished[WARM - 1]).total_seconds()


def by_rest(rig: Rig, triton_url: str, folder: Path, audio: list[bytes]) -> float:
    """Senders with a connection each; what they send is ready, so that little of the machine goes to them."""
    with front_end(folder, triton_url, stores=rig.account.environment()) as one:
        one.start("--workers", "1")
        wait_for(lambda: one.get("/readyz") == 200, "the front end is ready")

        def send(mine: list[tuple[int, bytes]]) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", one.port, timeout=60.0)
            for n, data in mine:
                boundary = uuid.uuid4().hex
                connection.request("POST", "/v1/diagnoses", _form(boundary, f"call-{n}", data), _headers(boundary))
                answer = connection.getresponse()
                answer.read()
                assert answer.status in (201, 202), answer.status
            connection.close()

        numbered = list(enumerate(audio))
        with ThreadPoolExecutor(SENDERS) as pool:
            for done in [pool.submit(send, numbered[n::SENDERS]) for n in range(SENDERS)]:
                done.result()
        wait_until(rig.settled, "every call has its result")
    return per_second(rig)


def by_intake(rig: Rig, triton_url: str, folder: Path, audio: list[bytes]) -> float:
    """The queue is filled before it starts."""
    for n, data in enumerate(audio):
        rig.land(f"call-{n}.ogg", data)
    with intake(rig, triton_url, folder) as one:
        one.start()
        wait_until(lambda: rig.waiting() == 0 and rig.settled(), "every call has its result")
    return per_second(rig)


def _form(boundary: str, call_id: str, data: bytes) -> bytes:
    fields = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="call_id"\r\n\r\n{call_id}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="audio"; filename="a.ogg"\r\n'
        "Content-Type: audio/ogg\r\n\r\n"
    )
    return fields.encode() + data + f"\r\n--{boundary}--\r\n".encode()


def _headers(boundary: str) -> dict[str, str]:
    return {"Content-Type": f"multipart/form-data; boundary={boundary}", "X-API-Key": KEY}


def rounds() -> Iterator[Round]:
    """Take turns; the first of each pair changes."""
    audio = recordings()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        azure = stack.enter_context(Azure())
        queues = stack.enter_context(AzuriteQueues(azure.azurite))
        triton = stack.enter_context(TritonServer(CHECKOUT / "model_repository", log=folder / "triton.log"))
        for number in range(ROUNDS):
            found = {}
            for way in (by_rest, by_intake) if number % 2 == 0 else (by_intake, by_rest):
                place = folder / f"{way.__name__}-{number}"
                place.mkdir()
                rig = new_rig(azure, queues)
                found[way] = way(rig, triton.grpc_url, place, audio)
                rig.service.close()
            yield Round(found[by_rest], found[by_intake])


def main() -> int:
    """Print a line for each round, and the ratio of the medians."""
    print(f"{'round':>6} {'REST/s':>8} {'intake/s':>9} {'ratio':>6}", flush=True)
    all_of_them = []
    for number, found in enumerate(rounds(), start=1):
        all_of_them.append(found)
        print(f"{number:>6} {found.rest:>8.1f} {found.intake:>9.1f} {found.intake / found.rest:>6.2f}", flush=True)
    rest, landed = (statistics.median(getattr(one, name) for one in all_of_them) for name in ("rest", "intake"))
    print(f"{'median':>6} {rest:>8.1f} {landed:>9.1f} {landed / rest:>6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
