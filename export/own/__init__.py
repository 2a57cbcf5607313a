"""A model that was made elsewhere becomes a release: what it must be, in a sentence for each way to be something else.

description    the YAML beside it: labels, thresholds, parameters, figures, where it comes from
onnx_file      an ONNX file against the tensor contract, and what every runtime can load
torch_module   a torch network by name
trial          it is run: shapes, probabilities, and whether they depend on neighbours
"""
