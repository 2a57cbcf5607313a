"""What each call tells of its line and its coughs, held to what the model was trained on.

quantities   what is measured of a diagnosis, and its bins
reference    the same of the training and validation material, in a release
drift        how far calls are from it
"""
