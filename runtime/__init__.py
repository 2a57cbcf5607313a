"""One request from bytes to diagnosis, for any caller.

    prepare  (CPU)   bytes -> spectrograms          prepare.py
    classify (model) spectrograms -> scores         onnx_classifier.py, triton_classifier.py
    conclude (pure)  what was found -> Diagnosis    conclude.py

`execute` does all three; the front end runs them in different places.

    __main__.py, commands.py   the command line: diagnose (diagnose_files.py), replay (replay.py)
    outcome.py, outcomes_file.py   what became of each file, and where that is kept
    figure.py, figure_waveform.py pictures for people
"""

from runtime.config import load_config
from runtime.diagnosis import Diagnosis
from runtime.errors import ParametersDiffer
from runtime.execute import execute
from runtime.work_unit import WorkUnit

__all__ = ["Diagnosis", "ParametersDiffer", "WorkUnit", "execute", "load_config"]
