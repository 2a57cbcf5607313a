"""The planner's figures, and how near its simulation comes: `make plan-figures`, `make plan-check`.

__main__    both verbs
measure     what a recording costs each part, on this machine
points      measured answers beside simulated ones
"""
