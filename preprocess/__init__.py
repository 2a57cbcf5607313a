"""The algorithms, each on its own: NumPy arrays in and out, no I/O beyond the bytes given, no globals that change.

    bytes --decode--> samples --resample--> 8 kHz --segment--> segments --mel--> power --color--> uint8 spectrograms
                                       \\--quality--> what may be believed

Modules are named after the stage and import only NumPy, SciPy, librosa, soundfile, soxr and PyAV.
"""
