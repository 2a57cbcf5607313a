"""The seed's program: from a recording to its diagnosis."""

from runtime import WorkUnit, execute, load_config

segmentation_params, mel_spec_params, color_spec_params = load_config()
work = WorkUnit(
    source_file="samples/preprocessing/benchmark_1/raw.ogg",
    segmentation_params=segmentation_params,
    mel_spec_params=mel_spec_params,
    color_spec_params=color_spec_params,
)
diagnosis = execute(work)
print(diagnosis.to_json())
