"""Pictures and sound of a diagnosis, for people.

playback   the channel that was diagnosed, as WAV
labels     the words in a figure
waveform   the waveform with the candidates
drawing    the whole figure, and one candidate's spectrogram
"""
