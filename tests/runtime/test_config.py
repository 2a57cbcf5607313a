"""Each thing that can be wrong with config.yml is named with its file and key."""

import copy
import dataclasses

import pytest
import yaml

from runtime.config import CONFIG_FILE, canonical_json, digest, load_config, load_limits, preprocess_parameters
from runtime.errors import ConfigError

DOCUMENT = yaml.safe_load(CONFIG_FILE.read_text(encoding="utf-8"))


def written(tmp_path, **changes):
    """The real file with `section__key=value` changed; a value of ... takes the key away."""
    document = copy.deepcopy(DOCUMENT)
    for name, value in changes.items():
        section, _, key = name.partition("__")
        where, last = (document[section], key) if key else (document, section)
        if value is ...:
            del where[last]
        else:
            where[last] = value
    path = tmp_path / "config.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def test_the_real_file(tmp_path):
    assert load_config() == load_config(written(tmp_path)) == load_config(str(CONFIG_FILE))
    segmentation, mel_spec, color_spec = load_config()
    assert (mel_spec.sample_rate_hz, mel_spec.n_fft, mel_spec.n_mels) == (8000, 256, 64)
    assert isinstance(segmentation.frame_ms, float)
    assert color_spec.colormap == "magma"
    _, limits = load_limits()
    assert limits.decode.max_duration_s == 120.0
    assert (limits.decode.min_sample_rate_hz, limits.decode.max_sample_rate_hz) == (4000, 192_000)
    assert limits.decode.max_channels == 2


def test_the_three_are_frozen_and_can_be_replaced():
    for params in load_config():
        field = dataclasses.fields(params)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(params, field, 1)
        assert dataclasses.replace(params) == params


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match=r"nothing\.yml can't be read \(No such file"):
        load_config(tmp_path / "nothing.yml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"mel_spec: {n_fft: 256\n", "not valid YAML at line 2"),
        (b"a: b: c\n", "not valid YAML at line 1"),
        (b"\xff\xfe\x00", "not UTF-8"),
        (b"a: \x00\n", "not valid YAML"),
        (b"", "holds no sections"),
        (b"- 1\n", "holds no sections"),
    ],
)
@pytest.mark.parametrize("load", [load_config, load_limits])
def test_a_file_that_is_no_config(tmp_path, content, message, load):
    path = tmp_path / "config.yml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"config\.yml.*{message}"):
        load(path)


@pytest.mark.parametrize("section", ["segmentation", "mel_spec", "color_spec"])
@pytest.mark.parametrize("value", [..., None, [1], "x"])
def test_a_missing_section(tmp_path, section, value):
    with pytest.raises(ConfigError, match=rf"config\.yml has no section '{section}'"):
        load_config(written(tmp_path, **{section: value}))


@pytest.mark.parametrize("section", ["quality", "limits"])
def test_a_missing_section_of_the_service(tmp_path, section):
    with pytest.raises(ConfigError, match=f"no section '{section}'"):
        load_limits(written(tmp_path, **{section: ...}))


OF_THE_FRONT_END = ("service", "rollout", "intake", "callbacks")
KEYS = [(section, key) for section in DOCUMENT if section not in OF_THE_FRONT_END for key in DOCUMENT[section]]


@pytest.mark.parametrize(("section", "key"), KEYS)
def test_every_key_is_needed_and_typed(tmp_path, section, key):
    load = load_config if section in ("segmentation", "mel_spec", "color_spec") else load_limits
    with pytest.raises(ConfigError, match=rf"config\.yml: {section}\.{key} is missing"):
        load(written(tmp_path, **{f"{section}__{key}": ...}))
    for wrong in ([1] if key != "band_edges_hz" else 1, True, None, 3 if key == "colormap" else "3"):
        with pytest.raises(ConfigError, match=rf"config\.yml: {section}\.{key} is .* not a (float|int|str)"):
            load(written(tmp_path, **{f"{section}__{key}": wrong}))


@pytest.mark.parametrize("section", ["segmentation", "mel_spec", "color_spec"])
def test_an_unknown_key(tmp_path, section):
    with pytest.raises(ConfigError, match=rf"config\.yml: {section}\.hop is not a parameter"):
        load_config(written(tmp_path, **{f"{section}__hop": 1}))


def test_whole_numbers_are_decimals_but_not_the_other_way(tmp_path):
    assert load_config(written(tmp_path, color_spec__min_db=-60)) == load_config()
    with pytest.raises(ConfigError, match=r"mel_spec\.n_fft is 256\.0"):
        load_config(written(tmp_path, mel_spec__n_fft=256.0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mel_spec__hop_length": 0}, r"mel_spec\.hop_length is 0"),
        ({"mel_spec__n_mels": -1}, r"mel_spec\.n_mels is -1"),
        ({"segmentation__hop_ms": 0.0}, r"segmentation\.hop_ms is 0"),
        ({"segmentation__hop_ms": 0.1}, r"segmentation\.hop_ms is shorter than one sample"),
        ({"mel_spec__fmax_hz": 4001.0}, r"mel_spec needs .*fmax_hz"),
        ({"mel_spec__fmin_hz": 4000.0}, r"mel_spec needs .*fmin_hz"),
        ({"color_spec__min_db": 0.0}, r"color_spec\.min_db is not below"),
        ({"color_spec__colormap": "jet"}, r"color_spec\.colormap is 'jet'"),
    ],
)
def test_values_that_make_no_sense(tmp_path, changes, message):
    with pytest.raises(ConfigError, match=rf"config\.yml: {message}"):
        load_config(written(tmp_path, **changes))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize(
    "key", ["segmentation__on_ratio", "mel_spec__fmax_hz", "color_spec__min_db", "limits__max_duration_s"]
)
def test_no_number(tmp_path, key, value):
    load = load_limits if key.startswith("limits") else load_config
    with pytest.raises(ConfigError, match=key.replace("__", r"\.")):
        load(written(tmp_path, **{key: value}))


def test_one_digest_for_each_value():
    """SHA-256 of {"a":1.5,"b":[]}; the order of keys does not matter, and 1 is not 1.0."""
    assert canonical_json({"b": [], "a": 1.5}) == '{"a":1.5,"b":[]}'
    assert digest({"b": [], "a": 1.5}) == digest({"a": 1.5, "b": []})
    assert digest({"a": 1}) != digest({"a": 1.0})
    assert len(digest(preprocess_parameters(*load_config()))) == 64
