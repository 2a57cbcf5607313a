"""Bytes on the wire to Triton: a relay on loopback counts what really goes over the connection, framing included."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.load.audio import note
from bench.report.rows import Row
from bench.report.targets import target_of
from runtime.config import load_config, load_limits
from runtime.prepare import prepare
from runtime.triton_classifier import TritonClassifier

REQUESTS = 50
FLOAT32_RGB_BYTES = 3 * 4  # a pixel


def wire(triton_url: str) -> list[Row]:
    """What one cough of the 10 s note costs, against float32 RGB of the same image."""
    params = load_config()
    spectrograms = prepare(note(), *params, load_limits()[1].decode).spectrograms
    with _relay(triton_url) as (url, sent), TritonClassifier(url) as triton:
        triton.classify(spectrograms)  # connecting, and asking for the contract
        before = sent[0]
        for _ in range(REQUESTS):
            triton.classify(spectrograms)
        per_cough = (sent[0] - before) / REQUESTS / len(spectrograms)
    pixels = params[1].n_mels * params[1].n_frames
    name = "wire_bytes_ratio"
    said = (
        f"{per_cough:.0f} bytes a cough in requests of {len(spectrograms)}, of {pixels * FLOAT32_RGB_BYTES}; "
        "the limit is 1/12"
    )
    return [Row(name, per_cough / (pixels * FLOAT32_RGB_BYTES), "", target_of(name), (), said)]


@contextmanager
def _relay(url: str) -> Iterator[tuple[str, list[int]]]:
    """An address that leads to `url`, and how many bytes went there so far."""
    host, _, port = url.rpartition(":")
    sent = [0]
    listener = socket.create_server(("127.0.0.1", 0))

    def forward(source: socket.socket, target: socket.socket, count: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if count:
                    sent[0] += len(data)
                target.sendall(data)
        for item in (source, target):
            with suppress(OSError):
                item.shutdown(socket.SHUT_RDWR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                server = socket.create_connection((host, int(port)))
                for arguments in ((client, server, True), (server, client, False)):
                    threading.Thread(target=forward, args=arguments, daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}", sent
    finally:
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
