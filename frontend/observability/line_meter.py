"""Counts what each answered call tells of its line, by key and release, beside what the release was trained on.

docs/drift.md says how to read it. Neither a caller nor a recording creates a label's value: the bins are fixed, keys
are those of the settings, and releases those that Triton serves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from prometheus_client import Counter

from frontend.observability.metrics import Metrics
from runtime.contract import ModelContract
from runtime.diagnosis import Diagnosis, Model
from runtime.line.quantities import QUANTITIES, bins_of

MOST_KEYS = 16  # with a name of their own; the rest is OTHER
OTHER = "other"

_Series = dict[str, list[Counter]]  # quantity -> a counter for each bin


class LineMeter:
    """Counts in `metrics`."""

    def __init__(
        self, metrics: Metrics, key_names: Iterable[str], contracts: Callable[[], Iterable[ModelContract]]
    ) -> None:
        """key_names: of the settings; contracts: those that are served now, as far as they are known."""
        self._metrics = metrics
        self._contracts = contracts
        self._keys = list(dict.fromkeys(key_names))[:MOST_KEYS]
        self._known: dict[Model, tuple[float, dict[str, _Series]]] = {}

    def look(self) -> None:
        """Take up the releases that are served now. Their counters begin at 0, which is where an increase starts."""
        for contract in self._contracts():
            if contract.model not in self._known:
                self._take_up(contract)

    def count(self, diagnosis: Diagnosis, key: str | None) -> None:
        """Count an answered call; key: the name of the key that brought it, None where nobody knows."""
        if diagnosis.model not in self._known:
            self.look()
        found = self._known.get(diagnosis.model)
        if found is None:  # another release has come meanwhile, and the threshold of this one is gone
            return
        cough_threshold, by_key = found
        series = by_key.get(key or OTHER) or by_key[OTHER]
        for name, number in bins_of(diagnosis, cough_threshold).items():
            series[name][number].inc()

    def _take_up(self, contract: ModelContract) -> None:
        release, counter = contract.model.version, self._metrics.line_recordings
        by_key = {
            key: {one.name: [counter.labels(release, key, one.name, name) for name in one.bins] for one in QUANTITIES}
            for key in (*self._keys, OTHER)
        }
        self._known[contract.model] = contract.cough_threshold, by_key
        reference = contract.reference
        if reference is None:
            return
        for one in QUANTITIES:
            parts = zip(one.bins, reference.kinds[one.name], reference.shares[one.name], strict=True)
            for name, kind, share in parts:
                self._metrics.line_reference.labels(release, one.name, name, kind).set(share)
