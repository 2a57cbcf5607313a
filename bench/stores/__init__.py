"""Figures of the stores.

listing   a page of a listing among few and among many calls
"""
