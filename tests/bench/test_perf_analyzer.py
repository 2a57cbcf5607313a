"""What surrounds perf_analyzer: its input, its report, the model without dynamic batching.

The tool itself runs in `make bench`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from bench.triton import input_data, perf_binary
from bench.triton.perf_analyzer import (
    SPECTROGRAMS,
    Level,
    batching_rows,
    changed_repository,
    drop_dynamic_batching,
    main,
    markdown,
    read_report,
)
from runtime.config import MODEL_REPOSITORY
from runtime.contract import INPUT, MODEL_NAME, read_contract

# Written by perf_analyzer 2.51.0 for `--async --concurrency-range 32 -f ... --verbose-csv`; two columns are left out.
REPORT = """\
Concurrency,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,\
Server Compute Output,Client Recv,p50 latency,p90 latency,p95 latency,p99 latency,Avg latency
32,524.6,5,1159,18754,306,37117,1561,1,56923,80188,91263,110095,58931
"""


def level(throughput: float, average_batch: float = 1.0) -> Level:
    return Level(32, **{**read_report(REPORT), "throughput": throughput}, average_batch=average_batch)


def test_the_report_is_read_by_the_names_of_its_columns() -> None:
    assert read_report(REPORT) == {
        **{"throughput": 524.6, "p50_us": 56923.0, "p90_us": 80188.0, "p95_us": 91263.0, "p99_us": 110095.0},
        **{"queue_us": 18754.0, "compute_input_us": 306.0, "compute_infer_us": 37117.0, "compute_output_us": 1561.0},
    }


@pytest.mark.parametrize("text", ["", REPORT.splitlines()[0], REPORT.replace("p99 latency", "p98 latency"), "a\n1\n"])
def test_a_report_that_lacks_something_is_refused(text: str) -> None:
    with pytest.raises(perf_binary.PerfToolError, match="not understood"):
        read_report(text)


def test_a_level_as_a_table_and_as_json() -> None:
    one = level(524.6, average_batch=15.8)
    assert (
        markdown([one]).splitlines()[-1]
        == "| 32 | 525 | 56.9 | 80.2 | 91.3 | 110.1 | 18754 | 37117 | 306 | 1561 | 15.8 |"
    )
    assert Level(**json.loads(json.dumps(one.to_dict()))) == one


def test_dynamic_batching_is_a_ratio_within_each_round() -> None:
    """What the machine does meanwhile changes from round to round, and meets both servers."""
    ratio, batch = batching_rows(
        [level(600, 14.0), level(300, 16.0), level(500, 15.0)], [level(500), level(250), level(500)]
    )
    assert (ratio.name, ratio.rounds, ratio.value, ratio.met) == (
        "triton_dynamic_batching_ratio",
        (1.2, 1.2, 1.0),
        1.2,
        True,
    )
    assert (batch.name, batch.value, batch.met) == ("triton_average_batch", 15.0, True)


def test_the_model_without_dynamic_batching_differs_in_that_alone(tmp_path: Path) -> None:
    changed = changed_repository(MODEL_REPOSITORY, tmp_path / "without", drop_dynamic_batching)
    before, after = (
        text_format.Parse((folder / MODEL_NAME / "config.pbtxt").read_text(), pb.ModelConfig())
        for folder in (MODEL_REPOSITORY, changed)
    )
    assert before.HasField("dynamic_batching")
    assert not after.HasField("dynamic_batching")
    before.ClearField("dynamic_batching")
    assert before == after
    names = [{file.relative_to(item) for file in item.rglob("*")} for item in (MODEL_REPOSITORY, changed)]
    assert names[0] == names[1]


def test_the_input_holds_the_spectrograms_that_the_model_takes() -> None:
    contract = read_contract(MODEL_REPOSITORY)
    steps = json.loads(SPECTROGRAMS.read_text())["data"]
    assert len(steps) >= 16
    assert all(list(step) == [INPUT] for step in steps)
    images = [np.frombuffer(base64.b64decode(step[INPUT]["b64"], validate=True), np.uint8) for step in steps]
    assert {image.size for image in images} == {contract.image[0] * contract.image[1]}
    assert len({image.tobytes() for image in images}) == len(steps)
    assert all(image.max() == 255 for image in images)  # levels are relative to the segment's maximum


def test_written_again_the_input_is_the_committed_file(tmp_path: Path) -> None:
    input_data.main(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == SPECTROGRAMS.read_bytes()


def test_an_input_that_no_configmap_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer recordings"):
        input_data.input_data(np.zeros((100, 64, 96), np.uint8))


def test_without_the_tool_one_line_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(perf_binary.MissingToolError, match="no perf_analyzer"), perf_binary.perf_binary(tmp_path):
        pass


def test_a_missing_library_names_its_package() -> None:
    assert perf_binary.missing("libb64.so.0d").endswith("run `apt-get install libb64-0d`.")
    assert "libother.so.1" in perf_binary.missing("libother.so.1")


def test_what_is_missing_ends_the_command_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def absent() -> None:
        raise perf_binary.MissingToolError("not here")

    monkeypatch.setattr("bench.triton.perf_analyzer.perf_binary", absent)
    assert main(["--url", "127.0.0.1:1"]) == 2
    assert capsys.readouterr().err == "bench: not here\n"
