"""The network and what belongs to it.

network       the layers
fit           fit one network
fit_many      fit several, two at a time
recipe        the digest of code and parameters that a network is fitted with
predict       score examples
calibration   calibration and decision thresholds
checkpoint    weights and description on disk
"""
