"""Data set, network, training, evaluation: with export the only place for torch."""
