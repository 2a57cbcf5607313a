"""One request from bytes to diagnosis, for any caller.

messages            what people read, one catalogue a language
work_unit           a recording, and the parameters for it
config              config.yml: parameters of the pipeline, limits of the service
prepare             bytes -> spectrograms (CPU)
processor           the class of processor that did it
model_facts         what is true of a model, from checkpoint to API
line                what the line of a call is like, held to what the model was trained on
contract            what a model promises: tensors, labels, thresholds, parameters
classify            what every classifier offers
onnx_classifier     spectrograms -> scores, by ONNX Runtime in this process
triton_classifier   spectrograms -> scores, by Triton
random_bytes        for ids
conclude            candidates and scores -> Diagnosis (pure)
diagnosis           the answer
execute             prepare, classify and conclude in this process
figures             pictures and sound for people
replaying           repeat a diagnosis from its record
cli                 the command line
__main__            `python -m runtime`
atomic_write        write a file whole or not at all
errors              what can go wrong
version             the software's version
no_telemetry        nothing that is imported here reports on its user
"""

import runtime.no_telemetry  # noqa: F401 - before anything imports ONNX Runtime
from runtime.config import load_config
from runtime.diagnosis import Diagnosis
from runtime.errors import ParametersDiffer
from runtime.execute import execute
from runtime.work_unit import WorkUnit

__all__ = ["Diagnosis", "ParametersDiffer", "WorkUnit", "execute", "load_config"]
