"""Headers of every answer that stop browsers from guessing types. A new header for all answers belongs here.

`RequestContext` adds them, so uvicorn's own 400, for a request that it can't parse, has none of them.
"""

SECURITY_HEADERS = ((b"x-content-type-options", b"nosniff"),)
