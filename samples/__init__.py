"""Recordings to try Tos.IA with, and the programs that made them (see README.md).

glottis   the voice source
tract     resonances of the airways
cough     a synthetic cough
voice     speech-like sound
rooms     echo and noise of a room
make      writes all recordings again
"""
