"""What an operator sees.

tracing     spans of a request and of what it causes
metrics     Prometheus metrics
line_meter  what calls tell of their lines, by key
loop_lag    how late the event loop is
json_logs   log lines as JSON
span_export   spans to a collector, by OpenTelemetry's SDK
audit       one line for each reading of a recording and each erasure
"""
