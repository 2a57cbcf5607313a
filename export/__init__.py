"""From a checkpoint to a release that Triton loads: to_onnx.py, triton_config.py, parity.py, release.py."""
