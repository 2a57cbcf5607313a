"""The routes and what they need to read a request and to answer it.

services_of          the running services, and a request's deadline
authenticate         the API key
answering_head       GET routes answer HEAD
direct_route         a route past FastAPI's machinery
health_routes        /healthz, /readyz
console_routes       / and /console
call_routes          /v1
wrapped_audio        recordings that were packed or written as text on their way
audio_form           the parts of a form, and what stands around them
upload               the multipart form, within its limits
call_list            a page of calls, bounded in bytes
held_answers         answers that take memory until they are sent
responses            call documents, images, byte ranges
exception_handlers   exceptions become problems
"""
