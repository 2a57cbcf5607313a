"""Reports for people.

plots        models/report/
mistakes     a page of the worst mistakes
model_card   models/MODEL_CARD.md
"""
