"""The software's version; every diagnosis and every release contains it."""

SOFTWARE_VERSION = "0.4.0"
