"""The software's version, which every diagnosis and every release names."""

SOFTWARE_VERSION = "0.2.0"
