"""Figures, and what they are held to.

machine   what was measured on
targets   what figures are held to
rows      one figure: name, median, spread, target
charts    charts
"""
