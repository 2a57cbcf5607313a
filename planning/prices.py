"""Money a month from prices that the user gives: a YAML file, see docs/capacity.md. None is known here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from planning.deployment import Deployment
from planning.errors import BadQuestion
from planning.question import MONTH_HOURS, Question
from planning.service_times import ServiceTimes
from planning.sizing import Size

BLOB_WRITES = 10_000  # that a price is for
GB = 1e9
MOST = 1e9  # of any price
RECORD_WRITES = 2  # created, then replaced by its result (docs/azure.md)
NAMES = {
    "vcpu_hour": "a vCPU for an hour",
    "gpu_pod_hour": "a Triton pod with its GPU for an hour",
    "blob_gb_month": "a GB of blobs for a month",
    "blob_10000_writes": "10,000 blob writes",
    "cosmos_gb_month": "a GB of records for a month",
    "cosmos_record": "a record written, once created and once replaced",
    "cosmos_100_ru_s_hour": "100 RU/s for an hour",
    "cosmos_ru_per_call": "RU that a call takes in your account: a measure, not a price",
}
CURRENCY = "currency"


@dataclass(frozen=True, slots=True)
class Bill:
    """currency: as the file says; items: an amount a month by what it is for"""

    currency: str
    items: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.items.values())


def read_prices(path: Path) -> dict[str, float | str]:
    """Return the file's prices by name. Raises: BadQuestion."""
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadQuestion(f"{path} can't be read: {error.strerror}.") from error
    except (ValueError, yaml.YAMLError, RecursionError) as error:  # ValueError: not UTF-8, or a date that is none
        raise BadQuestion(f"{path} is not YAML.") from error
    if not isinstance(found, dict):
        raise BadQuestion(f"{path} holds no prices: a line each, such as `vcpu_hour: 0.05`.")
    prices: dict[str, float | str] = {}
    for name, value in found.items():
        if name == CURRENCY and isinstance(value, str):
            prices[name] = value
        elif name not in NAMES:
            raise BadQuestion(f"{path} has {name!r}, which is no price: {', '.join([CURRENCY, *NAMES])}.")
        elif isinstance(value, bool) or not isinstance(value, int | float) or not 0.0 <= value < MOST:
            raise BadQuestion(f"{path} has {value!r} as {name}: give a number from 0 on.")
        else:
            prices[name] = float(value)
    return prices


def bill(
    prices: Mapping[str, float | str], asked: Question, times: ServiceTimes, deployed: Deployment, found: Size
) -> Bill:
    """Return a month with all these pods all the time. Raises: BadQuestion, naming the first price that is missing."""

    def price(name: str) -> float:
        if name not in prices:
            raise BadQuestion(f"The prices lack {name} ({NAMES[name]}).")
        return float(prices[name])

    calls = asked.calls_per_month
    kept = calls * deployed.retention_days * 24.0 / MONTH_HOURS
    pods = max(found.front_ends, deployed.front_ends[0])
    items = {"front-end pods": pods * deployed.front_end_cores * MONTH_HOURS * price("vcpu_hour")}
    if found.on_gpu:
        items["Triton pods"] = found.tritons * MONTH_HOURS * price("gpu_pod_hour")
    else:
        items["Triton pods"] = found.tritons * deployed.triton_cores * MONTH_HOURS * price("vcpu_hour")
    items["audio kept"] = kept * times.size / GB * price("blob_gb_month")
    items["audio written"] = calls / BLOB_WRITES * price("blob_10000_writes")
    items["records kept"] = kept * times.record_size / GB * price("cosmos_gb_month")
    if "cosmos_record" in prices:
        items["records written"] = calls * price("cosmos_record")
    else:
        ru_s = asked.peak_per_s * price("cosmos_ru_per_call")
        items["records written"] = ru_s / 100.0 * MONTH_HOURS * price("cosmos_100_ru_s_hour")
    return Bill(str(prices.get(CURRENCY, "")), items)
