"""Where audio and records lie: protocols.py says what every store offers, embedded_*.py are those of a laptop."""
