"""The life of a call; knows no HTTP.

call_service        submit, read, erase
stored_audio        audio in pieces, verified before it is sent
audio_digest        SHA-256 of a recording
attempts            one attempt: claim, diagnose, write the result once
outbox              what is told of finished calls to those who asked
reconciler          claims calls that were left unfinished
retention_sweeper   removes expired calls, and audio without a record
"""
