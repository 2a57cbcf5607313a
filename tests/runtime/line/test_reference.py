"""What a release says of its training: read strictly, and turned into shares and rare bins."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from runtime.config import MODEL_REPOSITORY, ROOT
from runtime.contract import REFERENCE, contract_of, read_contract
from runtime.errors import ModelContractError
from runtime.line.quantities import BINS_SHA256, QUANTITIES
from runtime.line.reference import RARE, USUAL, read_reference
from tests.runtime.parts import model_config

DOCUMENT: dict[str, Any] = json.loads((ROOT / "models" / "REFERENCE.json").read_text())


def test_the_release_of_the_checkout_carries_the_committed_reference() -> None:
    contract = read_contract(MODEL_REPOSITORY)
    assert contract.reference is not None, "make reference, then make export"
    assert contract.reference.document == DOCUMENT
    assert DOCUMENT["checkpoint_sha256"] == contract.checkpoint_sha256
    assert DOCUMENT["data_sha256"] == contract.data_sha256


def test_shares_are_the_mixture_that_a_training_hears() -> None:
    reference = read_reference(DOCUMENT)
    assert reference is not None
    for one in QUANTITIES:
        assert sum(reference.shares[one.name]) == pytest.approx(1.0, abs=1e-12)
    opus = next(one for one in QUANTITIES if one.name == "codec").bins.index("opus")
    simulated = DOCUMENT["training"]["simulated"]["codec"]
    assert reference.shares["codec"][opus] == pytest.approx(0.875 * simulated[opus] / sum(simulated))


def test_rare_bins_are_at_their_end_and_hold_little() -> None:
    reference = read_reference(DOCUMENT)
    assert reference is not None
    for one in QUANTITIES:
        kinds, shares = reference.kinds[one.name], reference.shares[one.name]
        for kind in {one.low, one.high} - {""}:
            rare = [number for number, name in enumerate(kinds) if name == kind]
            assert rare, f"{kind} can't be seen with these bins"
            assert sum(shares[number] for number in rare) <= RARE
            first = 0 if kind == one.low else len(kinds) - len(rare)
            assert rare == list(range(first, first + len(rare)))
    codecs = next(one for one in QUANTITIES if one.name == "codec")
    known = {name for name, kind in zip(codecs.bins, reference.kinds["codec"], strict=True) if kind == USUAL}
    assert known == {"lossless", "opus", "mp3", "g711", "gsm", "amr_nb"}  # those of training/data/augment.py


def test_a_release_without_a_reference_or_with_other_bins_has_none() -> None:
    assert contract_of(model_config(), "12").reference is None
    other = json.dumps({**DOCUMENT, "bins_sha256": "0" * 64})
    assert contract_of(model_config(**{REFERENCE: other}), "12").reference is None


def changed(*path: str, value: object) -> dict[str, Any]:
    document = deepcopy(DOCUMENT)
    inside: Any = document
    for name in path[:-1]:
        inside = inside[name]
    inside[path[-1]] = value
    return document


@pytest.mark.parametrize(
    "document",
    [
        [],
        {"bins_sha256": BINS_SHA256},
        changed("training", "simulated_share", value=1.5),
        changed("training", "simulated_share", value=True),
        changed("training", "recorded", "codec", value=[1]),
        changed("validation", "recorded", "hum_db", value=[1, 2, 3, 4, 5, -6]),
        changed("validation", "recorded", "hum_db", value=[1, 2, 3, 4, 5, "6"]),
    ],
)
def test_a_damaged_reference_is_no_release(document: object) -> None:
    with pytest.raises(ModelContractError):
        contract_of(model_config(**{REFERENCE: json.dumps(document)}), "13")


def test_a_quantity_that_training_never_had_alarms_nobody() -> None:
    lengths = [0] * len(DOCUMENT["training"]["recorded"]["cough_s"])
    document = changed("training", "recorded", "cough_s", value=lengths)
    document["training"]["simulated"]["cough_s"] = lengths
    reference = read_reference(document)
    assert reference is not None
    assert set(reference.kinds["cough_s"]) == {USUAL}


def test_the_rare_bins_of_the_release_are_those_that_a_person_expects() -> None:
    reference = read_reference(DOCUMENT)
    assert reference is not None
    rare = {
        kind: [name for name, of in zip(one.bins, reference.kinds[one.name], strict=True) if of == kind]
        for one in QUANTITIES
        for kind in (one.low, one.high)
        if kind
    }
    assert rare == {
        "narrower_band": ["1000", "1500", "2000", "2250", "2500"],
        "more_noise": ["2", "3", "4"],
        "more_clipping": ["0.002", "0.01", "0.03", "+Inf"],
        "more_hum": ["-30", "-20", "-10", "0", "+Inf"],
        "shorter_coughs": ["0.2", "0.225", "0.25"],
        "longer_coughs": ["1", "+Inf"],
        "near_threshold": ["0.05", "0.1", "0.15", "0.2"],
    }
