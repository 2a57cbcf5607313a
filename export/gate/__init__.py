"""No release unless torch, every ONNX Runtime and Triton agree.

golden_set      the spectrograms that all are judged on
check_config    a Triton configuration against its ONNX file
score_onnx      scores by the ONNX Runtime of one environment
onnx_runtimes   every ONNX Runtime that a release meets
gate            all of it
"""
