"""Fit several networks, two at a time: one thread each is faster than two threads for one, and gives the same
network.

A fitted network is kept in build/networks/ under the digest of all that it depends on, so that figures can be made
again, or a run that was interrupted go on, without a second training.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.atomic_write import atomic_write
from runtime.config import ROOT, digest
from runtime.model_facts import LABELS
from training.data.dataset import Entry
from training.data.example_cache import open_examples
from training.model.fit import FitParams, fit
from training.model.network import CoughCNN

NETWORKS = ROOT / "build" / "networks"
States = dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Job:
    """One network. chosen: bool [shape=(n entries,)], the recordings to learn from; color_table: uint8 [shape=(256, 3)]

    class_source: learn the class from recordings of this source only, None: of all; in_color: see network.py
    """

    chosen: NDArray[np.bool_]
    seed: int
    color_table: NDArray[np.uint8]
    class_source: str | None = None
    in_color: bool = False


def fit_many(
    jobs: Sequence[Job],
    folder: Path,
    entries: list[Entry],
    params: FitParams,
    progress: Callable[[Iterable[int], int], Iterable[int]],
    cache: Path = NETWORKS,
) -> list[CoughCNN]:
    """The networks in the order of their jobs. folder: of `example_cache.cached_examples`."""
    work = partial(_fit_once, folder=folder, entries=entries, params=params, cache=cache)
    with ProcessPoolExecutor(min(2, len(jobs)), mp_context=get_context("spawn")) as pool:
        states = [state for _, state in zip(progress(range(len(jobs)), len(jobs)), pool.map(work, jobs), strict=True)]
    networks = []
    for job, state in zip(jobs, states, strict=True):
        network = CoughCNN(job.color_table, len(LABELS), in_color=job.in_color)
        network.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
        networks.append(network.eval())
    return networks


def _fit_once(job: Job, *, folder: Path, entries: list[Entry], params: FitParams, cache: Path) -> States:
    groups = digest([entry.group for entry in entries])
    content = [folder.name, groups, job.seed, job.class_source, job.in_color, asdict(params), _code_sha256()]
    arrays = (job.chosen, job.color_table)
    path = cache / digest([*content, *(hashlib.sha256(array.tobytes()).hexdigest() for array in arrays)])
    if not path.is_file():
        state, buffer = _fit(job, folder=folder, entries=entries, params=params), io.BytesIO()
        np.savez(buffer, allow_pickle=False, **state)
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, buffer.getvalue())
    with np.load(path) as kept:
        return {name: kept[name] for name in kept.files}


def _code_sha256() -> str:
    """Of the modules that fit a network, and of torch."""
    modules = [Path(__file__).with_name(f"{name}.py") for name in ("fit", "fit_many", "network")]
    code = b"".join(module.read_bytes() for module in modules)
    return hashlib.sha256(code + torch.__version__.encode()).hexdigest()


def _fit(job: Job, *, folder: Path, entries: list[Entry], params: FitParams) -> States:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    examples = open_examples(folder)
    if job.class_source is not None:
        known = np.array([entry.source == job.class_source for entry in entries])[examples.entry]
        examples = replace(examples, class_label=np.where(known, examples.class_label, -1))
    network = fit(
        lambda: CoughCNN(job.color_table, len(LABELS), in_color=job.in_color),
        examples,
        entries,
        job.chosen[examples.entry],
        job.seed,
        params,
    )
    return {name: values.numpy() for name, values in network.state_dict().items()}
