"""From labelled audio to a checkpoint, and what it is worth. With export the only place for torch.

data         labelled recordings -> examples
model        the network, fitting, calibration, the checkpoint
evaluation   metrics of scored recordings
reporting    the model card and plots
train        `make train`
crossval     `make crossval`
evaluate     `make evaluate`
reference    `make reference`
stress       `make stress`
masking      `make masking`
validate     `make validate`
validation   its parts
progress     progress bars
"""
