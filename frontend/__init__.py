"""HTTP, authentication, storage, workers: turns REST calls into runtime calls.

settings.py      the environment, checked
app.py           the only place where things are wired
routes_*.py      thin endpoints
upload.py        multipart, within limits
server.py        uvicorn, with a pause for draining
    unread_body.py   answers that come before the body was read reach the sender
calls.py         the life of a call; knows no transport
diagnoser.py     audio -> diagnosis: workers.py (CPU), then Triton
stores/          audio and records
serving_model.py which model serves, and whether its parameters agree
errors.py        the one table from errors to HTTP
"""
