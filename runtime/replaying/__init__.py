"""Repeat a diagnosis from its record.

replay         compare, field by field
rounding       do two sets of levels differ by rounding alone?
rule_changes   which rules changed with which version
"""
