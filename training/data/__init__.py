"""Labelled recordings -> examples.

manifest_tables   manifest.csv and segments.csv, row by row
dataset           one entry for each recording
sources           which source can tell what
codecs            telephones' and messengers' codecs
augment           distort a recording
examples          recordings -> labelled spectrograms
example_cache     examples on disk
"""
