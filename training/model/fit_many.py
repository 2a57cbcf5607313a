"""Fit several networks, two at a time: one thread each is faster than two threads for one, and gives the same
network.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from runtime.model_facts import LABELS
from training.data.dataset import Entry
from training.data.example_cache import open_examples
from training.model.fit import FitParams, fit
from training.model.network import CoughCNN


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
) -> list[CoughCNN]:
    """The networks in the order of their jobs. folder: of `example_cache.cached_examples`."""
    work = partial(_fit, folder=folder, entries=entries, params=params)
    with ProcessPoolExecutor(min(2, len(jobs)), mp_context=get_context("spawn")) as pool:
        states = [state for _, state in zip(progress(range(len(jobs)), len(jobs)), pool.map(work, jobs), strict=True)]
    networks = []
    for job, state in zip(jobs, states, strict=True):
        network = CoughCNN(job.color_table, len(LABELS), in_color=job.in_color)
        network.load_state_dict({name: torch.from_numpy(values) for name, values in state.items()})
        networks.append(network.eval())
    return networks


def _fit(job: Job, *, folder: Path, entries: list[Entry], params: FitParams) -> dict[str, NDArray[np.float32]]:
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
