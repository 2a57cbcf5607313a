"""What an operator sees.

metrics     Prometheus metrics
line_meter  what calls tell of their lines, by key
loop_lag    how late the event loop is
json_logs   log lines as JSON
audit       one line for each reading of a recording and each erasure
"""
