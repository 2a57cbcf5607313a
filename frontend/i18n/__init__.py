"""Languages of the answers.

language    Accept-Language -> language
translate   a sentence in a language
spanish     the Spanish catalogue
"""
