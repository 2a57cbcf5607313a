"""The network in the formats that servers load.

to_onnx       one ONNX file
to_half       in half precision, for TensorRT
onnx_to_half  the same of an ONNX file alone
to_padded     the ONNX file for GPUs
to_tensorrt   a TensorRT plan on this machine
"""
