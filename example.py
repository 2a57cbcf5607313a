# A whole program, as the first users of `runtime` wrote it. It is not reformatted.
from runtime import load_config, execute, WorkUnit
segmentation_params, mel_spec_params, color_spec_params = load_config()
work = WorkUnit(
    source_file='samples/preprocessing/benchmark_1/raw.ogg',
    segmentation_params=segmentation_params,
    mel_spec_params=mel_spec_params,
    color_spec_params=color_spec_params,
)
diagnosis = execute(work)

print(diagnosis.to_json())
