"""Recordings to try Tos.IA with, and the programs that made them (see README.md)."""
