"""Turns REST calls into diagnoses that are stored: HTTP, the life of a call, worker processes, stores.

In the order in which a request passes them:

__main__        the command line: serve, --check, backfill
cli             what each command does; uvicorn
configuration   settings of an operator: config.yml, environment, command line
app             the application: services, routes, middlewares
middleware      around every request: admission, request id and log line, headers, unread bodies
api             the routes, the upload, the key, exceptions
openapi         the API's description
answers         what callers read: call documents, problems, guidance
services        the one place where the parts are wired
adapters        calls that come in by themselves, answers that go out
calls           the life of a call, without HTTP
rollout         a candidate release beside the serving one
inference       audio to diagnosis: worker processes, then Triton
stores          audio and records, embedded and on Azure
i18n            languages of the answers
observability   metrics, logs, audit lines
domain          records, errors and deadlines, which all of the above share
console         the web page (JavaScript)
"""
