"""The serving release on somebody's own labelled recordings (`make validate`). Needs no torch.

recordings   each recording alone, judged as served
shares       shares by recording with their intervals, and whether the release's bounds hold
report       the table
page         the worst mistakes, to look at and to listen to
"""
