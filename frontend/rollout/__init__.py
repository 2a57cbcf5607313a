"""A candidate release beside the serving one: shadow, canary, promotion (docs/rollout.md).

rollout     who answers a call, what the other release says of it, when to stop
candidate   a release behind a Triton of its own
backlog     answered calls that wait for the other release
compare     two diagnoses of one call
guard       whether a canary must be stopped
report      what would change, from stored calls
picture     the same as a picture
"""
