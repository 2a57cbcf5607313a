"""Finished calls go to the receiver of their key: CloudEvents over HTTP, signed as Standard Webhooks describes.

What is owed is part of the call's record, so that it stands with the result and goes with the call
(docs/decisions/0037-callbacks.md, docs/callbacks.md).

signature   the headers by which a receiver knows that a message is ours, and new
event       what is sent: the record as callers get it
connection  one request to a receiver: bounded, verified, never to an address inside
schedule    when a message is tried again, and when it is given up
sender      sends what is owed, until it is taken or given up
dead        what an operator sees of what waits or was given up, and sends again
"""
