"""The algorithms, each on its own: NumPy arrays in and out, no I/O beyond the bytes given, no globals that change.

    bytes --decode--> samples --resample--> 8 kHz --segment--> segments --mel--> power --color--> uint8 spectrograms
                                       \\--quality--> what may be believed

formats       what files declare and hold
decoders      libopus, libsndfile, FFmpeg
decode        bytes -> samples
resample      samples -> 8 kHz
level         samples -> how loud each moment is, in the bands that are heard
segment       level -> candidates
tones         beeps and mains hum
quality       how well the recording can be heard
mel           candidates -> relative power in mel bands
color_table   the colour table of the spectrograms
color         power -> uint8 levels
exact         logarithms that are the same on every processor
errors        what can be wrong with a recording

Modules are named after the stage and import only NumPy, SciPy, soundfile, soxr and PyAV.
"""
