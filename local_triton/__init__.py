"""The real Triton server from its PyPI wheel, on loopback, with ONNX Runtime standing in for the C++ backend.

    with TritonServer(Path("model_repository"), log=Path("var/triton.log")) as triton:
        ...  # gRPC at triton.grpc_url, HTTP at triton.http_url

For laptops and tests. It imports nothing of ours and only the standard library.

environment     finds Triton's environment and checks the machine
ports           free ports on loopback
backends        what stands in for the C++ ONNX Runtime backend
warden          ends a process with all that it left behind
load_failures   why the server refused a model, as one line
server          starts, watches and stops one server
__main__        `python -m local_triton`
errors          why there is no server
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
