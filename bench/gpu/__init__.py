"""What a GPU makes of the network: `python -m bench.gpu`.

__main__         `make bench-gpu`
network          the network in a bare loop
python_backend   the network behind Triton's Python backend
queue_delays     Triton with one queue delay after the other
figures          takes the figures
onnx             the release's own files by ONNX Runtime with CUDA
report           tables
"""
