"""A plan as plain text."""

from __future__ import annotations

import math

from planning.plan import Plan
from planning.sizing import Interval, Size

_STEPS = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB"))


def say_plan(plan: Plan) -> str:
    """Return the lines of a plan: what is asked, what it takes, what it does, what it stores and costs."""
    asked, chosen, machine, times = plan.asked, plan.chosen, plan.machine, plan.times
    lines = [
        f"calls          {asked.calls_per_hour:,.0f} an hour; {asked.peak_per_s:,.4g} a second in the busiest minute "
        f"({asked.peak:g} times the mean); recordings of {times.seconds:.1f} s with {times.candidates:.1f} candidates",
        f"figures        {machine['name']}, {machine['date']}; GPU: docs/gpu.json",
        f"front end      {_pods(max(chosen.front_ends, plan.deployed.front_ends[0]))} of {plan.deployed.workers} "
        f"workers on {plan.deployed.front_end_cores:g} cores{_least(chosen.front_ends, plan.deployed.front_ends[0])}; "
        f"busy {chosen.busy:.0%} in the busiest minute{_raised(chosen.front_ends, plan.deployed.front_ends[1])}",
        f"Triton         {_triton(chosen, plan)}",
        f"GPU            {_gpu(plan)}",
        f"p50            {_ms(chosen.p50)}",
        f"p99            {_ms(chosen.p99)}, asked {asked.p99_s:g} s; refused {chosen.refused:.2%}",
        f"burst          {plan.burst:,.0f} calls at once beside the mean load: {_burst(plan)}",
        f"stored         {_bytes(plan.written[0])} of audio and {_bytes(plan.written[1])} of records a month; "
        f"{_bytes(plan.kept[0])} and {_bytes(plan.kept[1])} at a time ({plan.deployed.retention_days:g} days)",
        *_bill(plan),
    ]
    return "\n".join(lines)


def _pods(count: int) -> str:
    return f"{count} pod{'' if count == 1 else 's'}"


def _least(needed: int, least: int) -> str:
    return f" ({needed} would do; {least} so that one may end)" if needed < least else ""


def _raised(needed: int, most: int) -> str:
    return f"; raise the autoscaler's {most}" if needed > most else ""


def _triton(size: Size, plan: Plan) -> str:
    where = "a GPU each" if size.on_gpu else f"CPU alone, {plan.deployed.triton_cores:g} cores each"
    return (
        f"{_pods(size.tritons)}, {where}; {size.batch:.1f} candidates a batch"
        f"{_raised(size.tritons, plan.deployed.tritons[1])}"
    )


def _gpu(plan: Plan) -> str:
    gpu = plan.on_gpu
    said = f"{_pods(gpu.tritons)} with a GPU, and {_pods(gpu.front_ends)} of the front end, p99 {_ms(gpu.p99)}"
    return f"needed: on CPUs the target can't be met; {said}" if plan.needs_gpu else f"not needed; with it: {said}"


def _ms(value: Interval) -> str:
    return f"{value.mean * 1e3:.0f} ms ({value.low * 1e3:.0f} to {value.high * 1e3:.0f})"


def _burst(plan: Plan) -> str:
    if math.isinf(plan.burst_s):
        return "never absorbed"
    return f"answered within {plan.burst_s:.1f} s, at {plan.chosen.capacity_per_s:,.0f} a second"


def _bytes(count: float) -> str:
    for step, unit in _STEPS:
        if count >= step:
            return f"{count / step:.3g} {unit}"
    return f"{count:.0f} bytes"


def _bill(plan: Plan) -> list[str]:
    if plan.bill is None:
        return []
    currency = f" {plan.bill.currency}".rstrip()
    items = "; ".join(f"{name} {amount:,.2f}" for name, amount in plan.bill.items.items())
    return [f"money          {plan.bill.total:,.2f}{currency} a month with all pods all the time: {items}"]
