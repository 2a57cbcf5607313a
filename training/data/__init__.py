"""Labelled recordings -> examples.

manifest_tables   manifest.csv and segments.csv, row by row
dataset           one entry for each recording
sources           which source can tell what
codecs            telephones' and messengers' codecs
lines             disturbances of real lines, drawn by seed
line_material     recorded sounds for them
augment           distort a recording
examples          recordings -> labelled spectrograms
example_cache     examples on disk
"""
