"""What an operator can set.

variables   the environment variables: meaning and default
settings    the environment, read once and checked
"""
