"""What docs/openapi.json says.

schemas      the form of each answer
examples     an example of each answer
operations   each route: parameters, answers
document     the whole document
"""
