"""What lets calls in by themselves and sends answers out; each is unaware of the others.

intake      storage events: audio that landed in the container becomes a call
callbacks   a finished call becomes a message to the receiver of its key

An adapter knows one outside protocol and the life of a call (`frontend.calls`), nothing of HTTP routes or of another
adapter. One for a single channel, such as a messenger or a telephone provider, gets a package of its own here.
"""
