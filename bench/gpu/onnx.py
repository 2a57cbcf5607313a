"""`python -m bench.gpu.onnx`: the release's own files by ONNX Runtime with CUDA, which is what its config asks of a
GPU.

It needs onnxruntime-gpu for the machine's CUDA, here and (without `--bare`) in `.venv-triton`, and onnx; no lock has
the first: docs/gpu.md. For each variant:

    placement   nodes by provider, and the operators that stay on the CPU
    parity      against the same file, float32, on the CPU, over the gate's golden set
    first runs  what the first run of each batch size costs, 1 to 64
    bare loop   coughs/s by batch size, and of batches that change their size each time, as a dynamic batcher makes them
    Triton      the release as it is, without batching, and padded; the last by queue delay, too; and the GPU's memory

A padded variant fills every batch up to one size inside the graph (export/formats/to_padded.py).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from tritonclient.grpc import model_config_pb2 as pb
from tritonclient.utils import InferenceServerException

from bench.gpu.queue_delays import START_S, by_delay, read_images
from bench.gpu.report import BATCHES, CLIENTS, NO_GPU, best_delay, delay_table, has_gpu
from bench.triton.perf_analyzer import Level, changed_repository, drop_dynamic_batching, markdown, measure
from bench.triton.perf_binary import PerfToolError
from export.gate.golden_set import golden_set
from export.parity import Parity, compare
from local_triton import TritonError, TritonServer
from runtime.classify import Scores
from runtime.config import MODEL_REPOSITORY
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT, MODEL_NAME, ModelContract, newest_version, read_contract
from runtime.model_facts import ModelFacts

Images = NDArray[np.uint8]

CUDA, CPU = "CUDAExecutionProvider", "CPUExecutionProvider"
LARGEST = 64
CROWD = 32  # clients whose batches have any size up to that
NO_PROVIDER = f"bench-gpu: this ONNX Runtime has no {CUDA}, so nothing was measured: install onnxruntime-gpu."


@dataclass(frozen=True, slots=True)
class Variant:
    """half: half.onnx instead of model.onnx; options: of the CUDA provider, as `gpu_execution_accelerator` `cuda` takes
    them.
    """

    name: str
    half: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    padded: bool = False

    def model(self) -> bytes:
        """The ONNX file."""
        folder = MODEL_REPOSITORY / MODEL_NAME
        file = folder / "half.onnx" if self.half else folder / str(newest_version(MODEL_REPOSITORY)) / "model.onnx"
        if not self.padded:
            return file.read_bytes()
        from export.formats.to_padded import to_padded  # noqa: PLC0415 - only this needs the package onnx

        return to_padded(file.read_bytes())


HEURISTIC, NO_TF32 = {"cudnn_conv_algo_search": "HEURISTIC"}, {"use_tf32": "0"}
VARIANTS = (
    Variant("float32"),  # as released: exhaustive search, TF32
    Variant("float32, heuristic", options=HEURISTIC),
    Variant("float32, default", options={"cudnn_conv_algo_search": "DEFAULT"}),
    Variant("float32, no TF32", options=NO_TF32),
    Variant("float32, no TF32, heuristic", options=NO_TF32 | HEURISTIC),
    Variant("float16", half=True),
    Variant("float16, heuristic", half=True, options=HEURISTIC),
    Variant("padded", padded=True),
    Variant("padded, no TF32", options=NO_TF32, padded=True),
    Variant("padded, float16", half=True, padded=True),
)
SERVED = ("float32", "padded", "padded, float16")  # the stand-in in Triton takes no options


@dataclass(frozen=True, slots=True)
class Bare:
    """What one variant does without Triton.

    nodes: provider -> number; on_cpu: operators there; first_runs_ms: of each batch size in turn; throughput: by batch
        size
    mixed: coughs/s of batches of 1 to CROWD in any order; in_order: of the same batches, the sizes one after the other
    """

    name: str
    nodes: Mapping[str, int]
    on_cpu: Sequence[str]
    parity: Parity
    first_runs_ms: Sequence[float]
    throughput: Mapping[int, float]
    mixed: float
    in_order: float


def session(variant: Variant, provider: str = CUDA, **settings: Any) -> onnxruntime.InferenceSession:
    """As local_triton's stand-in makes it. settings: attributes of SessionOptions."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # as the release's config has it
    for name, value in settings.items():
        setattr(options, name, value)
    providers = [(CUDA, dict(variant.options)), CPU] if provider == CUDA else [CPU]
    made = onnxruntime.InferenceSession(variant.model(), options, providers)
    if provider not in made.get_providers():  # it only warns where a library of CUDA is missing
        raise RuntimeError(f"ONNX Runtime runs without {provider}: a library of CUDA or cuDNN is missing")
    return made


def score(runs: onnxruntime.InferenceSession, images: Images) -> Scores:
    """In batches of LARGEST, as the gate does."""
    parts = [
        runs.run([COUGH_OUTPUT, CLASS_OUTPUT], {INPUT: images[i : i + LARGEST]}) for i in range(0, len(images), LARGEST)
    ]
    cough, classes = (np.concatenate(column) for column in zip(*parts, strict=True))
    return Scores(cough[:, 0], classes)


def bare(variant: Variant, images: Images, golden: Images, expected: Scores, facts: ModelFacts, seconds: float) -> Bare:
    """seconds: of each throughput."""
    nodes, on_cpu = placement(variant, images)
    runs = session(variant)
    batches = {size: np.resize(images, (size, *images.shape[1:])) for size in range(1, LARGEST + 1)}

    def run(size: int) -> None:
        runs.run(None, {INPUT: batches[size]})

    first = [1000 * _seconds(partial(run, size)) for size in batches]
    sizes = np.random.default_rng(0).integers(1, CROWD + 1, 64).tolist()
    return Bare(
        variant.name,
        nodes,
        on_cpu,
        compare(expected, score(runs, golden), facts, variant.name),
        [round(item, 3) for item in first],
        {size: throughput(run, [size], seconds) for size in BATCHES},
        throughput(run, sizes, seconds),
        throughput(run, sorted(sizes), seconds),
    )


def throughput(run: Callable[[int], None], sizes: Sequence[int], seconds: float) -> float:
    """Coughs/s of batches of these sizes, over and over for about that long."""
    for size in (*sizes[:3], *sizes[:3]):
        run(size)
    started, coughs = time.perf_counter(), 0
    while (spent := time.perf_counter() - started) < seconds or not coughs:
        for size in sizes:
            run(size)
        coughs += sum(sizes)
    return coughs / spent


def placement(variant: Variant, images: Images) -> tuple[dict[str, int], list[str]]:
    """Of a profiled run: nodes by provider, and the operators of those on the CPU."""
    with tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder:
        runs = session(variant, enable_profiling=True, profile_file_prefix=f"{folder}/profile")
        score(runs, images[:1])
        events = json.loads(Path(runs.end_profiling()).read_text())
    ran = [event["args"] for event in events if event.get("cat") == "Node" and "provider" in event.get("args", {})]
    nodes = Counter(str(item["provider"]) for item in ran)
    return dict(nodes), sorted(str(item["op_name"]) for item in ran if item["provider"] == CPU)


def _seconds(action: Callable[[], None]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def repository(into: Path, delay_us: int | None = None, *, variant: Variant, batching: bool = True) -> Path:
    """The selected release with another file, and perhaps another queue delay or no dynamic batching."""

    def change(config: pb.ModelConfig) -> None:
        if delay_us is not None:
            config.dynamic_batching.max_queue_delay_microseconds = delay_us
        if not batching:
            drop_dynamic_batching(config)

    changed_repository(MODEL_REPOSITORY, into, change)
    (into / MODEL_NAME / str(newest_version(into)) / "model.onnx").write_bytes(variant.model())
    return into


def served(variant: Variant, seconds: float, *, batching: bool = True) -> dict[str, Any]:
    """One Triton: whether KIND_AUTO takes the GPU, how much of its memory it then has, and levels after a first
    load.
    """
    before = _gpu_memory_mib()
    with tempfile.TemporaryDirectory(prefix="tosia-bench-") as folder:
        made, log = repository(Path(folder) / "repository", variant=variant, batching=batching), Path(folder) / "log"
        with TritonServer(made, log=log, start_timeout_s=START_S) as server:
            lines = [line for line in log.read_text().splitlines() if "ModelInstanceInitialize" in line]
            for _ in range(2):
                levels = measure(server.grpc_url, (1, 8, *CLIENTS), window_ms=int(seconds * 1000))
            return {
                "name": variant.name if batching else f"{variant.name}, without batching",
                "on_gpu": all("GPU device" in line for line in lines),
                "memory_mib": _gpu_memory_mib() - before,
                "levels": [level.to_dict() for level in levels],
            }


def _gpu_memory_mib() -> int:
    return int(_smi("memory.used").removesuffix(" MiB"))


def _smi(field: str) -> str:
    command = ["nvidia-smi", f"--query-gpu={field}", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()[0].strip()


def table(found: Sequence[Bare]) -> str:
    """A table for people."""
    heads = ["variant", "on the CPU", "differs by", "flips", "first runs s", *map(str, BATCHES), "mixed", "in order"]
    lines = [f"| {' | '.join(heads)} |", f"| --- | --- |{' ---: |' * (len(heads) - 2)}"]
    for item in found:
        speeds = [*(item.throughput[size] for size in BATCHES), item.mixed, item.in_order]
        cells = [item.name, f"{len(item.on_cpu)} of {sum(item.nodes.values())} {' '.join(item.on_cpu)}".strip()]
        cells += [f"{item.parity.max_difference:.1e}", f"{item.parity.flips}/{item.parity.n}"]
        cells += [f"{sum(item.first_runs_ms) / 1000:.1f}", *(f"{speed:.0f}" for speed in speeds)]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def take_bare(contract: ModelContract, seconds: float) -> list[Bare]:
    """Of every variant."""
    facts = contract
    images = read_images(contract.image)
    cpu = session(VARIANTS[0], CPU)
    made = np.concatenate((images, golden_set(images, facts, partial(score, cpu))))
    return [bare(variant, images, made, score(cpu, made), facts, seconds) for variant in VARIANTS]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu.onnx", description=str(__doc__).split("\n\n")[0])
    parser.add_argument("--bare", action="store_true", help="without Triton")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a figure (default: 1)")
    parser.add_argument("--rounds", type=int, default=3, help="of the queue delays (default: 3)")
    parser.add_argument("--json", type=Path, help="write the figures there, too")
    options = parser.parse_args(arguments)
    if not has_gpu() or CUDA not in onnxruntime.get_available_providers():
        print(NO_PROVIDER if has_gpu() else NO_GPU)
        return 0
    onnxruntime.set_default_logger_severity(3)  # it warns at every run of a convolution that it calls slow
    report: dict[str, Any] = {"device": _smi("name"), "onnxruntime": onnxruntime.__version__}
    variants = {item.name: item for item in VARIANTS}
    try:
        found = take_bare(read_contract(MODEL_REPOSITORY), options.seconds)
        print(table(found), flush=True)
        report["bare"] = [asdict(item) for item in found]
        if not options.bare:
            ways = [(variants[name], True) for name in SERVED] + [(variants["float32"], False)]
            report["served"] = []
            for variant, batching in ways:
                one = served(variant, options.seconds, batching=batching)
                report["served"].append(one)
                print(f"\n{one['name']}: {'GPU' if one['on_gpu'] else 'CPU'}, {one['memory_mib']} MiB\n")
                print(markdown([Level(**level) for level in one["levels"]]), flush=True)
            make = partial(repository, variant=variants["padded"])
            report["through_triton"] = by_delay(make, options.seconds, options.rounds)
            report["best_delay_us"] = best_delay(report["through_triton"])
            print("\n".join(["", *delay_table(report["through_triton"])]))
            print(f"Best delay: {report['best_delay_us']} µs.")
    except (PerfToolError, TritonError, InferenceServerException, RuntimeError) as error:
        print(f"bench-gpu: {error}", file=sys.stderr)
        return 1
    finally:
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
