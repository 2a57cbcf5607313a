"""Fit one network to examples: batches balanced over sources, shifts, masks and mixup on the spectrogram."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data.dataset import Entry
from training.data.examples import Examples
from training.model.network import CoughCNN

OTHER_SHARE = 0.03  # of any other group, before each class is brought to one half

# How much of a batch each group gives, whatever its size: half coughs, half not. The one source that holds many of both
# (coughseg) is half of the coughs and a good part of the rest, so that the source says little about the label; of the
# hard negatives what is taken for a cough most (laughter, breath, blowing, speech, knocks) gives more than its size.
SHARES = {
    ("coughseg", True): 0.25,
    ("c19_call", True): 0.14,
    ("c19_telegram", True): 0.11,
    ("hardneg_cough", True): 0.01,
    ("coughseg", False): 0.22,
    ("esc10", False): 0.10,
    ("fsdd", False): 0.07,
    ("hardneg_speech", False): 0.08,
    ("hardneg_other", False): 0.05,
    ("hardneg_laughter", False): 0.03,
    ("hardneg_breath", False): 0.03,
    ("hardneg_knock", False): 0.03,
    ("hardneg_blow", False): 0.02,
    ("hardneg_cry", False): 0.02,
    ("hardneg_animal", False): 0.02,
    ("hardneg_noise", False): 0.02,
    ("hardneg_tone", False): 0.02,
    ("hardneg_snore", False): 0.01,
    ("hardneg_sneeze", False): 0.01,
    ("hardneg_music", False): 0.005,
}


@dataclass(frozen=True, slots=True)
class FitParams:
    """Fixed before training, so that nothing is chosen on what it is judged by.

    focus: an example counts by its error to this power, so that what is easily told counts little (quality focal loss,
        Li et al. 2020); 0 is plain cross-entropy
    """

    steps: int = 1600
    batch_size: int = 64
    learning_rate: float = 2e-3
    weight_decay: float = 1e-2
    class_loss_weight: float = 0.2
    mixup_alpha: float = 0.2
    focus: float = 1.0


def fit(
    make_network: Callable[[], CoughCNN],
    examples: Examples,
    entries: list[Entry],
    chosen: NDArray[np.bool_],
    seed: int,
    params: FitParams,
) -> CoughCNN:
    """Train on the examples that `chosen` marks, bool [shape=(n,)]; the same seed gives the same network.

    The weights are the average of the last quarter's (Izmailov et al. 2018), which needs no early stopping and so no
    data to stop by.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    network = make_network()
    optimizer = torch.optim.AdamW(network.parameters(), lr=params.learning_rate, weight_decay=params.weight_decay)
    total = params.steps
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, params.learning_rate, total_steps=total, pct_start=0.15)
    average = torch.optim.swa_utils.AveragedModel(network, use_buffers=True)
    usable = np.flatnonzero(chosen & (examples.cough >= 0.0))
    odds = sampling_odds(examples, entries, usable)
    network.train()
    for step in range(total):
        rows = usable[rng.choice(len(usable), size=params.batch_size, p=odds)]
        loss = _loss(network, examples, rows, rng, params)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if step >= total * 3 // 4 and step % 10 == 0:
            average.update_parameters(network)
    fitted: CoughCNN = average.module
    return fitted.eval()


def sampling_odds(examples: Examples, entries: list[Entry], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each row, so that every group gets its share of SHARES and weak labels count for less.

    A hand-marked recording's segments between its coughs are `coughseg, False` like those of the recordings without.
    """
    keys = [
        (entries[entry].group, bool(cough))
        for entry, cough in zip(examples.entry[rows], examples.cough[rows], strict=True)
    ]
    weights = examples.weight[rows].astype(np.float64)
    totals: dict[tuple[str, bool], float] = {}
    for key, weight in zip(keys, weights, strict=True):
        totals[key] = totals.get(key, 0.0) + weight
    shares = {key: SHARES.get(key, OTHER_SHARE) for key in totals}
    of_class = {
        is_cough: sum(share for key, share in shares.items() if key[1] is is_cough) for is_cough in (True, False)
    }
    odds = np.array(
        [shares[key] / of_class[key[1]] * weight / totals[key] for key, weight in zip(keys, weights, strict=True)]
    )
    return np.asarray(odds / odds.sum())


def _loss(
    network: CoughCNN, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator, params: FitParams
) -> Tensor:
    levels = np.stack([_distort(level, rng) for level in examples.levels[rows]])
    cough = torch.from_numpy(examples.cough[rows])[:, None]
    classes = torch.from_numpy(examples.class_label[rows])
    image = network.image(torch.from_numpy(levels))
    share = float(rng.beta(params.mixup_alpha, params.mixup_alpha))
    order = torch.from_numpy(rng.permutation(len(rows)))
    image = share * image + (1.0 - share) * image[order]
    cough_logits, class_logits = network.logits(image)
    target = share * cough + (1.0 - share) * cough[order]
    cough_loss = nn.functional.binary_cross_entropy_with_logits(cough_logits, target, reduction="none")
    error = (target - torch.sigmoid(cough_logits.detach())).abs() ** params.focus
    cough_loss = (error * cough_loss).sum() / error.sum().clamp(min=1e-6)
    return cough_loss + params.class_loss_weight * (
        share * _class_loss(class_logits, classes) + (1.0 - share) * _class_loss(class_logits, classes[order])
    )


def _class_loss(logits: Tensor, labels: Tensor) -> Tensor:
    if not bool((labels >= 0).any()):
        return logits.sum() * 0.0
    return nn.functional.cross_entropy(logits, labels, ignore_index=-1)


def _distort(levels: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Shift in time by up to 80 ms, warp the frequencies as another vocal tract does (Jaitly and Hinton 2013), tilt the
    spectrum, mask a band and a stretch (SpecAugment, Park et al. 2019).

    levels: uint8 [shape=(n_mels, n_frames)]
    """
    n_mels, n_frames = levels.shape
    if rng.random() < 0.5:
        bands = np.rint(np.arange(n_mels) * np.exp(rng.uniform(-0.16, 0.16))).astype(np.int64)
        levels = levels[np.minimum(bands, n_mels - 1)]
    shift = int(rng.integers(-8, 9))
    moved = np.zeros_like(levels)
    if shift >= 0:
        moved[:, shift:] = levels[:, : n_frames - shift]
    else:
        moved[:, :shift] = levels[:, -shift:]
    tilt = rng.normal(0.0, 12.0) * np.linspace(-1.0, 1.0, n_mels)[:, None] + rng.normal(0.0, 6.0)
    bent = np.where(moved > 0, np.clip(moved + tilt, 0.0, 255.0), 0.0).astype(np.uint8)
    if rng.random() < 0.5:
        start, width = int(rng.integers(0, n_mels)), int(rng.integers(1, 13))
        bent[start : start + width] = 0
    if rng.random() < 0.5:
        start, width = int(rng.integers(0, n_frames)), int(rng.integers(1, 13))
        bent[:, start : start + width] = 0
    return bent
