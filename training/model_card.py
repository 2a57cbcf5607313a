"""`models/MODEL_CARD.md`, written from the checkpoint's description, so that the two can't disagree."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from training.checkpoint import CheckpointInfo

_ROWS = {
    "coughseg_event_auc": "coughseg, proposed segments: AUC (gradient boosting on the same data: 0.953)",
    "coughseg_event_sensitivity": "coughseg, segments: sensitivity at the threshold",
    "coughseg_event_specificity": "coughseg, segments: specificity at the threshold",
    "coughseg_recording_auc": "coughseg, recordings: AUC",
    "c19_call_hit_rate": "call-centre recordings with an accepted cough",
    "c19_telegram_hit_rate": "Telegram recordings with an accepted cough",
    "esc10_false_alarms": "ESC-10 clips with an accepted cough (false alarms)",
    "fsdd_false_alarms": "spoken digits with an accepted cough (false alarms)",
    "c19_call_class_auc": "class head, call-centre recordings: AUC",
    "c19_telegram_class_auc": "class head, Telegram recordings: AUC",
}


def write_model_card(path: Path, info: CheckpointInfo) -> None:
    """Write the card of one checkpoint."""
    path.write_text(model_card(info), encoding="utf-8")


def model_card(info: CheckpointInfo) -> str:
    """Markdown."""
    return _TEXT.format(
        sha256=info.sha256,
        data_sha256=info.data_sha256,
        seed=info.seed,
        threshold=info.cough_threshold,
        class_threshold=info.threshold_high,
        table="\n".join(_table(info.metrics)),
    )


def _table(metrics: dict[str, Any]) -> list[str]:
    lines = ["| what | out of fold (training split) | validation split |", "| --- | --- | --- |"]
    out_of_fold, validation = metrics.get("out_of_fold", {}), metrics.get("validation", {})
    for key, words in _ROWS.items():
        lines.append(f"| {words} | {_number(out_of_fold.get(key))} | {_number(validation.get(key))} |")
    return lines


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


_TEXT = """\
<!-- Written by training/model_card.py; do not edit. -->
# Model card: cough_cnn, reference weights

**A demonstrator (`validated: false`).** Cough or not is measured below. The class head (`negative`, `positive`) has **no medical
meaning**: do not diagnose, triage or decide anything about anybody with it.

| | |
| --- | --- |
| checkpoint | `{sha256}` |
| data (manifest and segments) | `{data_sha256}` |
| seed | {seed} |
| input | uint8 `[batch, 64, 96]`: mel spectrogram in dB relative to the segment's maximum, 0-4 kHz, 0.98 s |
| outputs | `cough_probability`, `class_probabilities` |
| cough threshold | {threshold} (balanced accuracy, out of fold) |
| class threshold | {class_threshold} (the same; low equals high while it is not validated) |

## Data

`cough_detection`: CoughSegmentation (COUGHVID recordings, hand-marked; CC BY 4.0), covid19-cough call-centre and Telegram (CC0,
weak labels), ESC-10 (CC0 and CC BY clips), free-spoken-digit-dataset (CC BY-SA 4.0). Subjects never cross the splits. No audio is
part of this repository.

## Figures

Never pooled over sources: in most of them source equals class. Calibration and thresholds come from out-of-fold predictions of
the training split (three folds by subject); nothing was tuned on the validation split, which is small (59 coughseg recordings, 50
ESC-10 clips, 40 digits of one speaker).

{table}

## Limits

- The class labels are confounded with how the call was made: in this material the channel that does *not* carry the cough
  separates the classes about as well as the one that does, and a model trained on one source scores near chance on the other.
- Sneezes are taken for coughs: by the first checkpoint all 8 of ESC-10's validation clips, against 4 of the other 42 (2 of a baby's
  cry, 1 rooster, 1 clock).
- Speech in the training data is single English digits by three speakers, and whatever the other sources hold.
- Telephone coughs were induced. Children and distant microphones were not studied.
"""
