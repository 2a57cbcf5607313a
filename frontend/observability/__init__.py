"""What an operator sees.

metrics     Prometheus metrics
loop_lag    how late the event loop is
json_logs   log lines as JSON
audit       one line for each reading of a recording and each erasure
"""
