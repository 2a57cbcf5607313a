"""ASGI middlewares, in the order in which they see a request.

unread_body        an early answer reaches a sender who is still sending
request_context    request id, trace, headers, log line and metrics of a request
security_headers   headers of every answer
admission_gate     refuses work that could not be done soon
"""
