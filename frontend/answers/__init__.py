"""What callers read, before it becomes an HTTP response.

http_errors        the table: error -> status, code, title
problem_document   an error as a problem (RFC 9457)
guidance           what a record means in plain words
call_document      a record with its guidance
page_token         where a listing goes on
"""
