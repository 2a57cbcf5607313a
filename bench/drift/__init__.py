"""`make drift-figures`: recordings over lines, and which drift they show after how many calls.

__main__   measures -> docs/drift.json, docs/drift.md
lines      what is done to a recording on its way
walks      calls in seeded orders, and when they first alarm
page       the tables of docs/drift.md
"""
