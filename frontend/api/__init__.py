"""The routes and what they need to read a request and to answer it.

services_of          the running services, and a request's deadline
authenticate         the API key
health_routes        /healthz, /readyz
console_routes       / and /console
call_routes          /v1
upload               the multipart form
responses            call documents, images, byte ranges
exception_handlers   exceptions become problems
"""
