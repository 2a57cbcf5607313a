"""What all parts of the front end share.

records    a call's record
rollout    the steps of a rollout, and which calls a share takes
trace_settings   where spans go, and how many of them
errors     the errors and their codes
deadline   when an answer is no longer of use
"""
