"""What all parts of the front end share.

records    a call's record
errors     the errors and their codes
deadline   when an answer is no longer of use
"""
