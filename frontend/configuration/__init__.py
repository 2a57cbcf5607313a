"""What an operator can set.

variables   the environment variables that say where things are and who may ask: meaning and default
deadlines_limits_intervals   what an operator may turn: unit, meaning, bounds
defaults    what config.yml says, for `--help` and the documents
tuning      config.yml < the operator's file < environment < command line
strays      blanks, line feeds and quotes around a value, named in the refusal
receivers   CALLBACKS: where the finished calls of a key go
traces      the standard OTEL_* variables
known_keys  whose API key a request has
settings    all of it, read once and checked
"""
