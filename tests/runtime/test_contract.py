"""What a model must promise before it is asked, and what is said when it does not."""

import json
from dataclasses import replace

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from runtime.config import digest, preprocess_parameters
from runtime.contract import contract_of, newest_version, read_contract
from runtime.errors import ModelContractError, ParametersDiffer
from tests.runtime.parts import COLOR_SPEC, MEL_SPEC, PARAMS, SEGMENTATION, contract, model_config


def test_a_whole_config():
    made = contract_of(model_config(), "3")
    assert (made.model.name, made.model.version, made.model.validated) == ("cough_cnn", "3", False)
    assert made.labels == ("negative", "positive")
    assert (made.cough_threshold, made.thresholds.low, made.thresholds.high) == (0.5, 0.5, 0.5)
    assert (made.image, made.max_batch_size) == ((64, 96), 8)
    assert made.preprocess == preprocess_parameters(*PARAMS)
    assert json.loads(json.dumps(made.to_dict()))["input_shape"] == [64, 96]
    made.check_parameters(*PARAMS)


@pytest.mark.parametrize("key", sorted(model_config().parameters))
def test_a_missing_parameter_is_named(key):
    with pytest.raises(ModelContractError, match=f"'{key}'"):
        contract_of(model_config(**{key: None}), "1")


@pytest.mark.parametrize(
    ("key", "value"),
    [("labels", "negative,positive"), ("validated", ""), ("cough_threshold", "half"), ("preprocess", "{")],
)
def test_a_parameter_that_cannot_be_read(key, value):
    with pytest.raises(ModelContractError, match="export"):
        contract_of(model_config(**{key: value}), "1")


def test_parameters_without_the_mel_spectrogram():
    with pytest.raises(ModelContractError, match="mel_spec"):
        contract_of(model_config(preprocess="{}"), "1")


@pytest.mark.parametrize(("value", "margin"), [(None, 1e-4), ("0.02", 0.02), ("0", 0.0)])
def test_a_release_that_names_no_margin_has_that_of_float32(value, margin):
    assert contract_of(model_config(score_margin=value), "8").score_margin == margin


def test_a_release_for_tensorrt_that_names_no_margin_has_that_of_half_precision():
    plan, provider = model_config(gpu="NVIDIA A10"), model_config()
    provider.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    assert contract_of(plan, "8").score_margin == contract_of(provider, "8").score_margin == 0.02


@pytest.mark.parametrize("value", ["-0.1", "0.5", "nan"])
def test_a_margin_that_is_none_is_refused(value):
    with pytest.raises(ModelContractError, match="score_margin"):
        contract_of(model_config(score_margin=value), "1")


@pytest.mark.parametrize("value", ["0", "1", '"true"', "null", "[]"])
def test_only_true_is_validated(value):
    assert contract_of(model_config(validated=value), "1").model.validated is False


def test_a_digest_that_is_not_the_parameters():
    with pytest.raises(ModelContractError, match="preprocess_sha256"):
        contract_of(model_config(preprocess_sha256="0" * 64), "1")


@pytest.mark.parametrize("labels", ['"ab"', "[]", '["cough"]', "[1, 2]", '{"negative": 1, "positive": 2}', "3"])
def test_labels_are_those_of_a_diagnosis(labels):
    with pytest.raises(ModelContractError, match="export"):
        contract_of(model_config(labels=labels), "1")


@pytest.mark.parametrize(
    "changes",
    [
        {"threshold_low": "0.7"},
        {"threshold_low": "-0.1"},
        {"threshold_high": "1.1"},
        {"threshold_high": "nan"},
        {"cough_threshold": "inf"},
        {"uncertain_threshold": "0.51"},
        {"uncertain_threshold": "-0.1"},
        {"uncertain_threshold": "nan"},
    ],
)
def test_thresholds_are_probabilities_in_order(changes):
    with pytest.raises(ModelContractError, match="thresholds"):
        contract_of(model_config(**changes), "1")


@pytest.mark.parametrize(("value", "threshold"), [(None, 0.5), ("0.5", 0.5), ("0.2", 0.2), ("0", 0.0)])
def test_a_release_without_an_uncertain_threshold_has_that_of_a_cough(value, threshold):
    made = contract_of(model_config(uncertain_threshold=value), "8")
    assert made.uncertain_threshold == made.to_dict()["uncertain_threshold"] == threshold


SHARE = {"value": 0.97, "low": 0.9, "high": 1, "source": "by hand"}


@pytest.mark.parametrize(
    "measured", [{}, {"recording_sensitivity": SHARE}, {"recording_sensitivity": None, "recording_false_alarms": SHARE}]
)
def test_the_operating_point_is_part_of_the_description(measured):
    made = contract_of(model_config(operating_point=json.dumps(measured)), "9")
    assert made.operating_point == measured
    assert made.to_dict()["operating_point"] == (measured or None)
    assert contract_of(model_config(), "8").to_dict()["operating_point"] is None


@pytest.mark.parametrize(
    "wrong",
    [
        *(None, [], "0.97", {"sensitivity": SHARE}, {"recording_sensitivity": 0.97}),
        *(
            {"recording_sensitivity": {**SHARE, **change}}
            for change in ({"low": 0.98}, {"high": 1.1}, {"source": None})
        ),
        *({"recording_sensitivity": {**SHARE, **change}} for change in ({"value": True}, {"value": "1"}, {"n": 3})),
        *({"recording_sensitivity": {**SHARE, "low": -0.1}}, {"recording_sensitivity": {"value": 0.97}}),
    ],
)
def test_an_operating_point_that_is_none_is_refused(wrong):
    with pytest.raises(ModelContractError, match="export"):
        contract_of(model_config(operating_point=json.dumps(wrong)), "1")


def test_without_validation_there_is_one_threshold():
    two = {"threshold_low": "0.4", "threshold_high": "0.6"}
    with pytest.raises(ModelContractError, match="two thresholds differ"):
        contract_of(model_config(**two, validated="false"), "1")
    assert contract_of(model_config(**two, validated="true"), "1").thresholds.low == 0.4


def shape(config, dims):
    del config.input[0].dims[:]
    config.input[0].dims.extend(dims)


@pytest.mark.parametrize(
    ("tensor", "change"),
    [
        ("spectrogram", lambda config: shape(config, [64, 95])),
        ("spectrogram", lambda config: shape(config, [-1, 96])),
        ("spectrogram", lambda config: shape(config, [1, 64, 96])),
        ("spectrogram", lambda config: setattr(config.input[0], "data_type", model_config_pb2.TYPE_FP32)),
        ("spectrogram", lambda config: config.input.pop()),
        ("image", lambda config: setattr(config.input[0], "name", "image")),
        ("class_probabilities", lambda config: config.output[1].dims.append(1)),
        ("cough_probability", lambda config: setattr(config.output[0], "data_type", model_config_pb2.TYPE_FP16)),
        ("extra", lambda config: config.output.add(name="extra", data_type=model_config_pb2.TYPE_FP32, dims=[1])),
        ("labels", lambda config: config.parameters["labels"].MergeFrom(three_labels())),
        ("max_batch_size", lambda config: setattr(config, "max_batch_size", 0)),
    ],
)
def test_tensors_that_are_not_the_contracts(tensor, change):
    config = model_config()
    change(config)
    with pytest.raises(ModelContractError, match=tensor):
        contract_of(config, "1")


def three_labels():
    return model_config_pb2.ModelParameter(string_value='["a", "b", "c"]')


@pytest.mark.parametrize(
    ("field", "params", "expected", "found"),
    [
        ("mel_spec.hop_length", (SEGMENTATION, replace(MEL_SPEC, hop_length=81), COLOR_SPEC), 80, 81),
        (
            "segmentation.on_ratio",
            (replace(SEGMENTATION, on_ratio=2.0), MEL_SPEC, COLOR_SPEC),
            SEGMENTATION.on_ratio,
            2.0,
        ),
        ("color_spec.min_db", (SEGMENTATION, MEL_SPEC, replace(COLOR_SPEC, min_db=-50.0)), -60.0, -50.0),
    ],
)
def test_parameters_that_differ_are_named(field, params, expected, found):
    with pytest.raises(ParametersDiffer, match=rf"{field}.*{found!r}.*{expected!r}") as caught:
        contract().check_parameters(*params)
    assert (caught.value.field, caught.value.expected, caught.value.found) == (field, expected, found)


def test_a_parameter_that_only_the_model_or_only_we_know():
    more = preprocess_parameters(*PARAMS)
    more["mel_spec"]["power"] = 2.0
    del more["color_spec"]["colormap"]
    made = contract_of(model_config(preprocess=json.dumps(more), preprocess_sha256=digest(more)), "1")
    with pytest.raises(ParametersDiffer, match="colormap"):
        made.check_parameters(*PARAMS)


def test_whole_numbers_and_decimals_mean_the_same():
    """JSON from another writer may say -60 for -60.0."""
    made = contract()
    made.preprocess["color_spec"]["min_db"] = -60
    made.check_parameters(*PARAMS)


def repository(folder, *versions):
    model = folder / "cough_cnn"
    model.mkdir()
    (model / "config.pbtxt").write_text(text_format.MessageToString(model_config()))
    for version in versions:
        (model / version).mkdir()
    return folder


def test_read_from_disk(tmp_path):
    """The highest number is what Triton serves; 10 is above 9."""
    made = read_contract(repository(tmp_path, "9", "10", "old"))
    assert made.model.version == "10"
    assert made == contract_of(model_config(), "10")


def test_nothing_on_disk(tmp_path):
    with pytest.raises(ModelContractError, match=r"config\.pbtxt.*make export"):
        read_contract(tmp_path)
    with pytest.raises(ModelContractError, match="make export"):
        newest_version(tmp_path)


def test_no_version_on_disk(tmp_path):
    with pytest.raises(ModelContractError, match="holds no cough_cnn"):
        read_contract(repository(tmp_path))


@pytest.mark.parametrize("content", [b"name: ", b"no_such_field: 1", b"\xff\xfe\x00"])
def test_a_broken_config_on_disk(tmp_path, content):
    (repository(tmp_path, "1") / "cough_cnn" / "config.pbtxt").write_bytes(content)
    with pytest.raises(ModelContractError, match=r"config\.pbtxt can't be read"):
        read_contract(tmp_path)
