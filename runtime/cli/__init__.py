"""`python -m runtime`: diagnose files, replay records.

commands         what the command line asks for, and the exit code
diagnose_files   many files, one after the other
file_outcome     one file's result, for programs and people
outcomes_file    the JSON Lines file of results
"""
