"""What a network is worth.

conditions          how a recording may reach us
background_twins    recordings without their coughs
candidates          what serving proposes in each recording
served              what serving would say of a recording
scores              what a network says of one recording
line_figures        shares of recordings on disturbed lines
scored_recordings   scores by recording and fold
metrics             metrics of a detector
intervals           metrics with their 95 % intervals
twin_metrics        metrics of background twins
leak_probes         what gives a label away without a cough
quality_curves      from which quality on the detector fails
costs               CPU time
targets             what the metrics are held to
"""
