"""Languages of the answers; the texts themselves are in `runtime.messages`.

language   Accept-Language -> language
"""
