"""The decoders, each for what it does best, and how their pieces become one signal.

pieces   what a decoder returns; limits, gaps, joining
opus     libopus, called directly: Ogg Opus
sndfile  libsndfile: Vorbis, FLAC, PCM and what else lies in WAV, AIFF, AU, CAF, W64
ffmpeg   FFmpeg: containers with time stamps, frames of MP3, AAC, AMR
headerless  what exchanges write without a header, if it is what somebody has said
edits    a track played by its edit list
"""
