"""A model that was made elsewhere: through the gate to a release, and each way in which it does not fit, with a
sentence, exit code 2 and nothing left behind.
"""

from __future__ import annotations

import copy
import json
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import yaml
from onnx import TensorProto, helper

from export import __main__ as command
from export.formats.onnx_to_half import onnx_to_half
from export.formats.to_padded import to_padded
from export.gate.golden_set import random_spectrograms
from export.own import onnx_file
from export.own.description import read_description
from export.own.trial import try_out
from export.releases.release import HALF_FILE
from export.releases.repository import problems_of, read_release
from export.triton_config import PADDED_FILE, BuiltOn
from runtime.config import ROOT
from runtime.contract import CLASS_OUTPUT, COUGH_OUTPUT, INPUT, read_contract
from tests.export import own_network

pytestmark = pytest.mark.training

Change = Callable[[onnx.ModelProto], object]


def tiny() -> onnx.ModelProto:
    """The mean level as both probabilities: the smallest graph that fulfils the contract."""
    nodes = [
        helper.make_node("Cast", [INPUT], ["floats"], name="cast", to=TensorProto.FLOAT),
        helper.make_node("Div", ["floats", "full"], ["levels"], name="div"),
        helper.make_node("ReduceMean", ["levels", "axes"], ["mean"], name="mean", keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], [COUGH_OUTPUT], name="unsqueeze"),
        helper.make_node("Sub", ["unit", COUGH_OUTPUT], ["rest"], name="sub"),
        helper.make_node("Concat", ["rest", COUGH_OUTPUT], [CLASS_OUTPUT], name="concat", axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, ["batch", 64, 96])],
        [
            helper.make_tensor_value_info(COUGH_OUTPUT, TensorProto.FLOAT, ["batch", 1]),
            helper.make_tensor_value_info(CLASS_OUTPUT, TensorProto.FLOAT, ["batch", 2]),
        ],
        [
            helper.make_tensor("full", TensorProto.FLOAT, [1], [255.0]),
            helper.make_tensor("unit", TensorProto.FLOAT, [1], [1.0]),
            helper.make_tensor("axes", TensorProto.INT64, [2], [1, 2]),
            helper.make_tensor("one", TensorProto.INT64, [1], [1]),
        ],
    )
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def write(folder: Path, model: bytes, description: dict[str, Any] | None = None) -> Path:
    file = folder / "their.onnx"
    file.write_bytes(model)
    text = yaml.safe_dump(own_network.description() if description is None else description)
    file.with_suffix(".yaml").write_text(text, encoding="utf-8")
    return file


def export(folder: Path, *arguments: str) -> int:
    where = ["--repository", str(folder / "model_repository"), "--releases", str(folder / "releases")]
    return command.main([*arguments, *where])


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    before = sorted(folder.rglob("*"))
    assert export(folder, *arguments) == 2
    assert sorted(folder.rglob("*")) == before  # no release, no repository, no lock
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("export: ")
    assert line.endswith(".")
    return line


@pytest.mark.parametrize("given", ["onnx", "module"])
def test_a_network_made_elsewhere_becomes_a_release(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Through every runtime and the real Triton."""
    file = write(tmp_path, own_network.exported(own_network.make().eval()))
    if given == "onnx":
        arguments = ["--onnx", str(file)]
    else:
        arguments = ["--module", "tests.export.own_network:make", "--facts", str(file.with_suffix(".yaml"))]
    assert export(tmp_path, *arguments) == 0
    assert "Release 1 " in capsys.readouterr().out
    release = read_release(tmp_path / "releases" / "1")
    manifest = release.manifest
    assert list(problems_of(release)) == []
    contract = read_contract(tmp_path / "model_repository")
    assert (contract.cough_threshold, contract.uncertain_threshold, contract.validated) == (0.5, 0.3, False)
    if given == "onnx":
        assert (release.folder / "cough_cnn" / "1" / "model.onnx").read_bytes() == file.read_bytes()
        assert manifest["parity_with"].startswith("ONNX Runtime 1.31.1; not torch")
        assert manifest["origin"]["name"] == "their.onnx"
    else:
        assert manifest["parity_with"] == "torch"
        assert manifest["origin"]["name"] == "tests.export.own_network:make"
    assert manifest["origin"]["data"] == "none: the weights are random"
    assert manifest["figures"] == own_network.description()["figures"]
    assert manifest["metrics"] == {"coughseg_event_auc": 0.5}
    judged = [item["what"] for item in manifest["parity"]]
    assert sum(item.startswith("ONNX Runtime") for item in judged) == 3
    assert sum(item.startswith("padded, ONNX Runtime") for item in judged) == 3
    assert sum(item.startswith("float16, ONNX Runtime") for item in judged) == 3
    assert sum(item.startswith("Triton") for item in judged) == 6
    assert "half_missing" not in manifest
    assert all(item["flips"] == 0 for item in manifest["parity"] if not item["what"].startswith("float16"))


def test_without_half_precision_the_manifest_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Levels of 1e6 are infinite in float16."""
    model = tiny()
    model.graph.node[1].input[1] = "large"
    model.graph.node.insert(2, helper.make_node("Mul", ["levels", "larger"], ["again"], name="mul"))
    model.graph.node[3].input[0] = "again"
    model.graph.initializer.append(helper.make_tensor("large", TensorProto.FLOAT, [1], [255e-6]))
    model.graph.initializer.append(helper.make_tensor("larger", TensorProto.FLOAT, [1], [1e-6]))
    file = write(tmp_path, model.SerializeToString())
    assert export(tmp_path, "--onnx", str(file)) == 0
    assert "half.onnx is left out" in capsys.readouterr().out
    release = read_release(tmp_path / "releases" / "1")
    assert re.search("float16, ONNX Runtime", release.manifest["half_missing"])
    names = {path.name for path in release.folder.rglob("*") if path.is_file()}
    assert names == {"manifest.json", "config.pbtxt", "cuda.pbtxt", "labels.txt", "model.onnx", PADDED_FILE}
    assert HALF_FILE not in names


def change_first(**fields: object) -> Change:
    """Of the first operator set."""

    def change(model: onnx.ModelProto) -> None:
        for name, value in fields.items():
            setattr(model.opset_import[0], name, value)

    return change


def external(model: onnx.ModelProto) -> None:
    tensor = model.graph.initializer[0]
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="their.onnx.data")


def custom(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "com.example"
    model.graph.node[1].op_type = "Frobnicate"


def with_function(model: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"])]
    model.functions.append(helper.make_function("local", "Twice", ["x"], ["y"], nodes, [helper.make_opsetid("", 18)]))


def dim(model: onnx.ModelProto, axis: int) -> Any:
    return model.graph.input[0].type.tensor_type.shape.dim[axis]


def without_axis(model: onnx.ModelProto) -> None:
    del model.graph.input[0].type.tensor_type.shape.dim[2]


def renamed_output(model: onnx.ModelProto) -> None:
    model.graph.node[-1].output[0] = model.graph.output[1].name = "logits"


def fixed_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].type.tensor_type.shape.dim[0].dim_value = 2


def other_type(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT


def cyclic(model: onnx.ModelProto) -> None:
    model.graph.node[1].input[0] = "nowhere"


FILES: list[tuple[str, Change, str]] = [
    ("external data", external, "keeps full in another file, and a release has one file a network"),
    ("custom operator", custom, r"uses custom operators \(com\.example\.Frobnicate\)"),
    ("function", with_function, r"holds functions of its own \(Twice\): put them in line"),
    ("old opset", change_first(version=11), "uses opset 11, and the runtimes of a release share 15 to 21"),
    ("new opset", change_first(version=23), "uses opset 23, and the runtimes of a release share 15 to 21"),
    ("IR", lambda model: setattr(model, "ir_version", 12), "has IR version 12, and ONNX Runtime 1.19.2"),
    ("operator", lambda model: setattr(model.graph.node[1], "op_type", "Divide"), r"does not have \(Divide\)"),
    (
        "name",
        renamed_output,
        "has the outputs cough_probability, logits, but the contract has cough_probability, class",
    ),
    ("type", other_type, "has the input spectrogram in float, not uint8: convert it inside the network"),
    ("rank", without_axis, r"input spectrogram with 2 axes, not 3 \(batch, 64, 96\)"),
    (
        "size",
        lambda model: setattr(dim(model, 2), "dim_value", 128),
        "of the size 64, 128 behind the batch, not 64, 96",
    ),
    (
        "fixed batch",
        lambda model: setattr(dim(model, 0), "dim_value", 1),
        "a fixed batch of 1: export it .*dynamic_shap",
    ),
    ("fixed output", fixed_output, "has the output cough_probability with a fixed batch of 2"),
    ("nameless batch", lambda model: dim(model, 0).Clear(), "does not name the first axis of the input spectrogram"),
    ("invalid", cyclic, "is no valid ONNX model .*: export it again"),
]


@pytest.mark.parametrize(("change", "words"), [item[1:] for item in FILES], ids=[item[0] for item in FILES])
def test_a_file_that_does_not_fit_is_refused(
    change: Change, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny()
    change(model)
    file = write(tmp_path, model.SerializeToString())
    line = refused(tmp_path, capsys, "--onnx", str(file))
    assert re.search(words, line)
    assert "their.onnx" in line
    assert str(tmp_path) not in line  # a path may reveal the machine's owner


def constant(model: onnx.ModelProto, output: str, value: list[float]) -> None:
    """Add `value` to an output."""
    node = next(node for node in model.graph.node if output in node.output)
    for user in model.graph.node:
        user.input[:] = ["before" if item == output else item for item in user.input]
    node.output[0] = "before"
    model.graph.initializer.append(helper.make_tensor("off", TensorProto.FLOAT, [len(value)], value))
    at = list(model.graph.node).index(node) + 1
    model.graph.node.insert(at, helper.make_node("Add", ["before", "off"], [output], name="add"))


def by_neighbours(model: onnx.ModelProto) -> None:
    """As a batch normalisation in training mode does."""
    model.graph.node[2].output[0] = "alone"
    model.graph.initializer.append(helper.make_tensor("zero", TensorProto.INT64, [1], [0]))
    model.graph.node.insert(3, helper.make_node("ReduceMax", ["alone", "zero"], ["most"], name="max", keepdims=1))
    model.graph.node.insert(4, helper.make_node("Div", ["alone", "most"], ["mean"], name="by"))


def by_chance(model: onnx.ModelProto) -> None:
    """As a dropout in training mode does."""
    model.graph.node[2].output[0] = "certain"
    model.graph.node.insert(3, helper.make_node("RandomUniformLike", ["certain"], ["chance"], name="random"))
    model.graph.node.insert(4, helper.make_node("Mul", ["certain", "chance"], ["mean"], name="times"))


def fixed_inside(model: onnx.ModelProto) -> None:
    """What a traced view(2, ...) leaves: the declared batch is dynamic, and only running it tells."""
    model.graph.node[3].op_type = "Reshape"
    model.graph.initializer[3].CopyFrom(helper.make_tensor("one", TensorProto.INT64, [2], [2, 1]))


RUNS: list[tuple[str, Change, str]] = [
    ("NaN", lambda model: constant(model, COUGH_OUTPUT, [float("nan")]), r"cough_probability that is no number \(nan"),
    ("above 1", lambda model: constant(model, COUGH_OUTPUT, [1.0]), r"cough_probability of 1\.\d+, which is no prob"),
    ("below 0", lambda model: constant(model, CLASS_OUTPUT, [-2.0, 2.0]), r"class_probabilities of -1\.\d+, which is"),
    ("sum", lambda model: constant(model, CLASS_OUTPUT, [0.1, 0.1]), r"whose rows add up to 1\.2, not 1: put a soft"),
    ("neighbours", by_neighbours, r"scores a spectrogram by its neighbours in the batch: export it in evaluation mode"),
    ("chance", by_chance, r"gives other scores each time it is run: export it in evaluation mode \(network\.eval"),
    ("fixed inside", fixed_inside, r"with a batch of 1 \(its Reshape unsqueeze fails\): export it"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "words"), [item[1:] for item in RUNS], ids=[item[0] for item in RUNS])
def test_answers_that_are_no_scores_are_refused(
    change: Change, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny()
    change(model)
    file = write(tmp_path, model.SerializeToString())
    assert re.search(words, refused(tmp_path, capsys, "--onnx", str(file)))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "their.onnx is not an ONNX file"),
        (b"PK\x03\x04 weights of torch", "their.onnx is not an ONNX file"),
        (tiny().SerializeToString()[:-100], "their.onnx is not an ONNX file, or is cut off"),
        (tiny().SerializeToString()[:40], "their.onnx is not an ONNX file"),
    ],
    ids=["empty", "another file", "cut off", "cut off early"],
)
def test_what_is_no_onnx_file_is_refused(
    data: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert words in refused(tmp_path, capsys, "--onnx", str(write(tmp_path, data)))


def test_every_cut_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file may be cut where a message of protobuf ends, and then it can be read."""
    whole = tiny().SerializeToString()
    for end in range(0, len(whole), 7):
        refused(tmp_path, capsys, "--onnx", str(write(tmp_path, whole[:end])))


def test_a_missing_and_a_large_file_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write(tmp_path, b"")
    with file.open("wb") as large:
        large.truncate(onnx_file.MAX_BYTES + 1)  # a hole
    assert "their.onnx has 100 MiB, and a release takes 100 MiB at most" in refused(
        tmp_path, capsys, "--onnx", str(file)
    )
    assert "no.onnx can't be read (it is not there)" in refused(tmp_path, capsys, "--onnx", str(tmp_path / "no.onnx"))
    assert "can't be read (Is a directory)" in refused(tmp_path, capsys, "--onnx", str(tmp_path))
    file.with_suffix(".yaml").unlink()
    file.write_bytes(tiny().SerializeToString())
    assert "their.yaml is not there: describe the model in it" in refused(tmp_path, capsys, "--onnx", str(file))


def at(place: str, value: object = None) -> Callable[[dict[str, Any]], None]:
    """Set a key of the description, or remove it."""

    def change(document: dict[str, Any]) -> None:
        *outer, name = place.split(".")
        for key in outer:
            document = document[int(key) if key.isdigit() else key]
        if value is None:
            del document[name]
        else:
            document[name] = value

    return change


DOCUMENTS = [
    (at("labels", ["healthy", "ill"]), "labels are healthy, ill, but a diagnosis has negative, positive"),
    (at("labels", "negative"), "labels is 'negative', which is not a list"),
    (at("cough_threshold"), "cough_threshold is missing: add it"),
    (at("cough_threshold", "high"), "cough_threshold is 'high', which is not a number"),
    (at("cough_threshold", True), "cough_threshold is True, which is not a number"),
    (at("cough_threshold", 1.5), "cough_threshold is 1.5, which is not a share between 0 and 1"),
    (at("cough_threshold", float("nan")), "cough_threshold is nan, which is not"),
    (at("uncertain_threshold", 0.9), "uncertain_threshold is above cough_threshold"),
    (at("threshold_low", 0.4), "threshold_low and threshold_high differ, which only a validated model may have"),
    (at("threshold_low", 0.6), "threshold_low is above threshold_high"),
    (at("validated", "no"), "validated is 'no', which is not true or false"),
    (at("threshold", 0.5), "threshold is not a key of this document: remove it"),
    (at("preprocess"), "preprocess is missing: add it"),
    (at("preprocess", [1]), "preprocess is [1], which is not a section"),
    (at("preprocess.mel_spec"), "preprocess.mel_spec is missing"),
    (at("preprocess.mel_spec.n_mels"), "preprocess.mel_spec.n_mels is missing"),
    (at("preprocess.mel_spec.n_mels", "many"), "preprocess.mel_spec.n_mels is 'many', which is not a int"),
    (at("preprocess.mel_spec.window", "hann"), "preprocess.mel_spec.window is not a parameter"),
    (
        at("preprocess.mel_spec.hop_length", 100),
        "preprocess.mel_spec.hop_length is 100, but config.yml of this service",
    ),
    (at("figures"), "figures is missing"),
    (at("figures.0.value"), "figures.0.value is missing"),
    (at("figures.0.value", 0.9), "figures has coughseg_event_auc outside its own interval"),
    (at("figures.0.source", ""), "figures.0.source is '', which is not a text that says something"),
    (at("source.licence"), "source.licence is missing"),
    (at("source", "a paper"), "source is 'a paper', which is not a section"),
    (at("operating_point", {"sensitivity": 0.9}), "operating_point needs recording_sensitivity"),
]


@pytest.mark.parametrize(("change", "words"), DOCUMENTS, ids=[words[:40] for _, words in DOCUMENTS])
def test_a_description_that_does_not_fit_is_refused(
    change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    document = copy.deepcopy(own_network.description())
    change(document)
    file = write(tmp_path, tiny().SerializeToString(), document)
    line = refused(tmp_path, capsys, "--onnx", str(file))
    assert line.startswith("export: their.yaml: ")
    assert words in line


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"labels: [", "their.yaml is not valid YAML at line 1"),
        (b"", "their.yaml holds no keys"),
        (b"\xff\xfe", "their.yaml can't be read (it is not UTF-8)"),
    ],
)
def test_a_description_that_is_no_yaml_is_refused(
    text: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, tiny().SerializeToString())
    file.with_suffix(".yaml").write_bytes(text)
    assert words in refused(tmp_path, capsys, "--onnx", str(file))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("own_network", "MODULE=own_network names no network: write it as package.module:factory"),
        ("tests.export.nothing:make", "tests.export.nothing can't be imported (No module named"),
        ("tests.export.own_network:nothing", "tests.export.own_network has no function nothing"),
        ("tests.export.own_network:broken", "gives no network (the weights are on another disk)"),
        ("tests.export.own_network:no_network", "gives a str, not a torch.nn.Module"),
        ("tests.export.own_network:one_head", "one_head "),
        ("tests.export.own_network:make", "own_network.yaml is not there"),
    ],
)
def test_a_module_that_does_not_fit_is_refused(
    name: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    facts = []
    if not name.endswith(":make"):
        facts = ["--facts", str(write(tmp_path, b"").with_suffix(".yaml"))]
    assert words in refused(tmp_path, capsys, "--module", name, *facts)


def test_a_plan_needs_half_precision(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: bytes) -> bytes:
        raise ValueError("a reason")

    model = tiny().SerializeToString()
    file = write(tmp_path, model)
    monkeypatch.setattr(command, "require_gpu", lambda: BuiltOn("a GPU", "11.0"))
    monkeypatch.setattr("export.sources.onnx_to_half", fails)

    monkeypatch.setattr(command, "read_contract", lambda _: read_description(file.with_suffix(".yaml")).facts(model))
    line = refused(tmp_path, capsys, "--onnx", str(file), "--format", "tensorrt")
    assert "is built of half.onnx, which can't be made (a reason): FORMAT=onnx makes a release" in line


def scores(model: bytes, n: int) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    found: list[np.ndarray] = session.run([COUGH_OUTPUT, CLASS_OUTPUT], {INPUT: random_spectrograms(n, 64, 96)})
    return found


@pytest.mark.parametrize("names", ["begins pads first", "filled_input unfilled full_size", ""])
def test_a_graph_that_is_not_ours_is_filled_up_all_the_same(names: str) -> None:
    """INPUT goes to two nodes; an output is used inside; and the names that we would give are taken."""
    model = tiny()
    model.graph.node.append(helper.make_node("Cast", [INPUT], ["unused"], name="second", to=TensorProto.INT64))
    for i, name in enumerate(names.split()):
        old = model.graph.node[i].output[0]
        for node in model.graph.node:
            node.input[:] = [name if item == old else item for item in node.input]
            node.output[:] = [name if item == old else item for item in node.output]
    plain = model.SerializeToString()
    padded = to_padded(plain)
    for n in (1, 7, 64):
        for ours, theirs in zip(scores(padded, n), scores(plain, n), strict=True):
            assert np.array_equal(ours, theirs)


def test_half_precision_is_made_of_the_file_alone() -> None:
    """The converter keeps both ends, and its scores move as float16 moves them."""
    plain = own_network.exported(own_network.make().eval())
    half = onnx_to_half(plain)
    assert onnx_to_half(plain) == half
    assert any(item.data_type == TensorProto.FLOAT16 for item in onnx.load_model_from_string(half).graph.initializer)
    for ours, theirs in zip(scores(half, 5), scores(plain, 5), strict=True):
        assert ours.dtype == np.float32
        assert 0.0 < np.abs(ours - theirs).max() < 0.02


def test_torch_own_default_exports_are_refused_by_what_they_did(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The two traps of torch.onnx.export: a batch as large as the example, and weights in a file of their own."""
    network = own_network.make().eval()
    file = write(tmp_path, own_network.exported(network, dynamic_shapes=None))
    assert "with a fixed batch of 2: export it with a dynamic one (torch.onnx.export" in refused(
        tmp_path, capsys, "--onnx", str(file)
    )
    file = write(tmp_path, b"")
    onnx.save_model(
        onnx.load_model_from_string(own_network.exported(network)), file, save_as_external_data=True, size_threshold=0
    )
    assert "in another file" in refused(tmp_path, capsys, "--onnx", str(file))


def test_the_description_in_the_documents_is_read(tmp_path: Path) -> None:
    """The example of docs/export.md, with the parameters of config.yml put in."""
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```yaml\n(labels:.*?)```", page, re.DOTALL)
    document = yaml.safe_load(example)
    document["preprocess"] = own_network.description()["preprocess"]
    file = tmp_path / "their.yaml"
    file.write_text(json.dumps(document), encoding="utf-8")
    assert read_description(file).facts(b"model").labels == ("negative", "positive")


def test_the_export_in_the_documents_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (ROOT / "docs" / "export.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(torch\.onnx\.export.*?)```", page, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        exec(example, {"torch": torch, "network": own_network.make()})  # noqa: S102 - the example is what is tested
    data = onnx_file.read_onnx(tmp_path / "their.onnx")
    onnx_file.check_onnx(data, "their.onnx", own_network.IMAGE, 2)
    try_out(data, "their.onnx", own_network.IMAGE, 2)
