"""HTTP, authentication, storage, workers: turns REST calls into runtime calls.

__main__.py, commands.py   the command line: serve, --check (check.py), backfill (backfill.py)
settings.py      the environment, checked; variables.py: what each is, and its default
app.py           where the server is wired
routes_*.py      thin endpoints
openapi.py       the OpenAPI document: operations.py and schemas.py say what there is, examples.py shows it
upload.py        multipart, within limits
server.py        uvicorn, with a pause for draining
unread_body.py   answers that come before the body was read reach the sender
calls.py         the life of a call; knows no transport
attempts.py      one attempt at a call: claimed, bounded, written once
finisher.py      takes up what was left unfinished
sweeper.py       removes what no call needs
diagnoser.py     audio -> diagnosis: workers.py (CPU), then Triton
preloading.py, preloaded.py   what workers are forked from
deadline.py      the moment after which an answer is of no use
stores/          audio and records, embedded and on Azure
serving_model.py which model serves, and whether its parameters agree
errors.py        the one table from errors to HTTP
logs.py, request_log.py, audit.py   what is logged, and what is not
"""
