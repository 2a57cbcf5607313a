"""Where audio and records lie: protocols.py says what every store offers, opening.py opens those that the settings name."""
