"""The structure of files, without decoding: what they declare, what they hold, where the sound lies.

container     which format
completeness  less or more than declared: WAV, AIFF, AU, CAF, W64, WebM, MP4
headerless    what has no header, and how it can be told whether the word for it is right
frames        frames of MP3, Layer II, ADTS and AMR
ogg           pages -> packets of each stream
flac          joined files, and the length by the last frame
au            joined files, and sizes that are too small
mp4           edit lists
caf           packet table
"""
