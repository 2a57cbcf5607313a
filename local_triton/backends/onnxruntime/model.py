"""Stands in for Triton's C++ ONNX Runtime backend, which the PyPI wheel lacks.

A Python-based backend: Triton's stub process runs it for every model with `backend: "onnxruntime"`, so the very
config.pbtxt that the C++ backend serves on a cluster works on a laptop. It must be at least as strict (checks.py).
"""

import ctypes
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as triton

if TYPE_CHECKING:
    from local_triton.backends.onnxruntime import checks
else:
    import checks  # Triton's stub has this folder on its path, and no package around it

USED = b"used_dltensor"  # DLPack's name for a capsule that was taken over
rename = ctypes.pythonapi.PyCapsule_SetName
rename.argtypes = [ctypes.py_object, ctypes.c_char_p]
CONFIG_NAME = "TOSIA_MODEL_CONFIG_NAME"  # set by local_triton/server.py
Tensors = dict[str, np.ndarray[Any, Any]]


class TritonPythonModel:
    """One instance of a model. Triton calls its methods from one thread."""

    def initialize(self, args: dict[str, str]) -> None:
        """Loads the ONNX file, or raises `checks.RefusedError`, whose text Triton reports as the reason."""
        folder = Path(args["model_repository"])
        config = json.loads(args["model_config"])
        checks.check_config(config, chosen_config(folder).read_text("utf-8"))

        file = folder / args["model_version"] / (config.get("default_model_filename") or "model.onnx")
        if file.is_dir():
            file /= "model.onnx"
        if not file.is_file():
            raise checks.RefusedError(f"there is no {file.relative_to(folder)}")
        self.session = load(file, config.get("parameters", {}), args)
        inputs, outputs = self.session.get_inputs(), self.session.get_outputs()
        checks.check_signature(config, signature(inputs), signature(outputs))
        self.input_names = [tensor.name for tensor in inputs]
        self.output_names = [tensor.name for tensor in outputs]
        self.batched = config["max_batch_size"] > 0

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answers what the dynamic batcher put together, in one run where the model has a batch axis."""
        inputs = [self.read(request) for request in requests]
        if self.batched and len(requests) > 1:
            try:
                outputs = self.run_together(inputs)
            except Exception as error:  # noqa: BLE001 - whatever one request did to it, the others get their answers
                triton.Logger.log_warn(f"a batch failed, its requests run one by one: {error}")
            else:
                return [respond(request, tensors) for request, tensors in zip(requests, outputs, strict=True)]
        return [self.answer_alone(request, tensors) for request, tensors in zip(requests, inputs, strict=True)]

    def read(self, request: Any) -> Tensors:
        """The input tensors of a request, by name; read-only views of Triton's memory.

        By DLPack, since with NumPy 2 the stub of 24.10 hands over nothing by `as_numpy()`, and says OK.
        """
        return {name: np.from_dlpack(triton.get_input_tensor_by_name(request, name)) for name in self.input_names}

    def run(self, inputs: Tensors) -> Tensors:
        """One pass through the graph."""
        return dict(zip(self.output_names, self.session.run(self.output_names, inputs), strict=True))

    def run_together(self, inputs: list[Tensors]) -> list[Tensors]:
        """Like `run` for each request, in one pass: joined along the batch axis, and the outputs split again."""
        joined = {name: np.concatenate([tensors[name] for tensors in inputs]) for name in self.input_names}
        ends = np.cumsum([len(tensors[self.input_names[0]]) for tensors in inputs])
        outputs = self.run(joined)
        if any(len(output) != ends[-1] for output in outputs.values()):
            raise ValueError(f"the graph made a batch of another size than {ends[-1]}")
        parts = {name: np.split(output, ends[:-1]) for name, output in outputs.items()}
        return [{name: parts[name][i] for name in self.output_names} for i in range(len(inputs))]

    def answer_alone(self, request: Any, inputs: Tensors) -> Any:
        """The response to one request: its outputs or its error."""
        try:
            return respond(request, self.run(inputs))
        except Exception as error:  # noqa: BLE001 - an exception out of execute() would fail the neighbours
            return triton.InferenceResponse(output_tensors=[], error=triton.TritonError(str(error)))


def chosen_config(folder: Path) -> Path:
    """The configuration that Triton has chosen: that of `--model-config-name`, which the server's environment names.

    Where it is missing Triton serves config.pbtxt without a word, which is another model on a GPU.
    """
    name = os.environ.get(CONFIG_NAME, "")
    file = folder / "configs" / f"{name}.pbtxt" if name else folder / "config.pbtxt"
    if not file.is_file():
        raise checks.RefusedError(
            f"there is no {file.relative_to(folder)}, which --model-config-name={name} chooses: Triton would serve "
            "config.pbtxt in its place"
        )
    return file


def load(file: Path, parameters: dict[str, dict[str, str]], args: dict[str, str]) -> onnxruntime.InferenceSession:
    """A session on all cores unless the config sets thread counts; on the GPU where the instance has one.

    ONNX Runtime itself refuses an IR version or opset that is newer than its own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = int(parameters.get("intra_op_thread_count", {}).get("string_value", 0))
    options.inter_op_num_threads = int(parameters.get("inter_op_thread_count", {}).get("string_value", 0))
    providers: list[Any] = ["CPUExecutionProvider"]
    # A laptop's wheel of ONNX Runtime is the one for CPU even where Triton sees a GPU.
    if args["model_instance_kind"] == "GPU" and "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(args["model_instance_device_id"])}))
    return onnxruntime.InferenceSession(str(file), options, providers)


def signature(tensors: list[onnxruntime.NodeArg]) -> checks.Signature:
    """Types and shapes; an axis of any size, which ONNX Runtime gives as a name or None, becomes -1."""
    return {
        tensor.name: (tensor.type, [size if isinstance(size, int) else -1 for size in tensor.shape])
        for tensor in tensors
    }


def respond(request: Any, outputs: Tensors) -> Any:
    """The response with the outputs that this request asked for."""
    wanted = request.requested_output_names()
    return triton.InferenceResponse([as_tensor(name, outputs[name]) for name in outputs if name in wanted])


def as_tensor(name: str, array: "np.ndarray[Any, Any]") -> Any:
    """Triton's tensor over the array's memory; a copy only where the array is not contiguous.

    The stub of 24.10 gives the capsule a name of its own ("used_dlpack"). NumPy does not know it, and raises and prints
    an error for each capsule when it lets go of it: 40 microseconds and some lines in the log for each output.
    """
    capsule = np.ascontiguousarray(array).__dlpack__()
    tensor = triton.Tensor.from_dlpack(name, capsule)
    rename(capsule, USED)
    return tensor
