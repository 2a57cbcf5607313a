"""This checkout against another commit of it: `make bench AGAINST=<commit>`.

__main__       `python -m bench.against`
builds         both builds: code, release and environments
environments   virtual environments of a lock, kept in build/
running        Triton and the front end of a build
compare        rounds in turns -> rows
"""
