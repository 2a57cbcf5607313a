"""perf_analyzer against Triton.

input_data      real spectrograms for perf_analyzer
perf_binary     finds perf_analyzer
perf_analyzer   runs it
"""
