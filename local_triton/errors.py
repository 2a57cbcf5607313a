"""Why the server can't be started, or ended; each message is one line that says what to do.

TritonError
  ConfigurationError           the machine or the call is at fault: exit code 2
    UnsupportedPlatformError   not Linux on x86-64 with a new enough glibc
    UnusableEnvironmentError   Triton's Python environment is missing, broken or holds the wrong packages
    MissingLibraryError        a shared library that the wheel doesn't bring
    MissingRepositoryError
    PortInUseError
  ServerFailedError            it refused a model, ended by itself or was not ready in time: exit code 1
"""


class TritonError(Exception):
    """Anything that keeps the server from serving."""


class ConfigurationError(TritonError):
    """The machine or the call has to change before a start can succeed."""


class UnsupportedPlatformError(ConfigurationError):
    """The wheel's binaries don't run here."""


class UnusableEnvironmentError(ConfigurationError):
    """Triton's Python environment is missing, broken or holds the wrong packages."""


class MissingLibraryError(ConfigurationError):
    """A shared library that the wheel doesn't bring is not installed."""


class PortInUseError(ConfigurationError):
    """Something else listens on a port that was asked for."""


class MissingRepositoryError(ConfigurationError):
    """There is no model repository where one was promised."""


class ServerFailedError(TritonError):
    """The server refused a model, ended by itself or was not ready in time."""
