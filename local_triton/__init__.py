"""The real Triton server from its PyPI wheel, on loopback, with ONNX Runtime standing in for the C++ backend.

    with TritonServer(Path("model_repository"), log=Path("var/triton.log")) as triton:
        ...  # gRPC at triton.grpc_url, HTTP at triton.http_url

For laptops and tests. It imports nothing of ours and only the standard library.
"""

from local_triton.errors import (
    ConfigurationError,
    MissingLibraryError,
    MissingRepositoryError,
    PortInUseError,
    ServerFailedError,
    TritonError,
    UnsupportedPlatformError,
    UnusableEnvironmentError,
)
from local_triton.server import TritonServer

__all__ = [
    "ConfigurationError",
    "MissingLibraryError",
    "MissingRepositoryError",
    "PortInUseError",
    "ServerFailedError",
    "TritonError",
    "TritonServer",
    "UnsupportedPlatformError",
    "UnusableEnvironmentError",
]
