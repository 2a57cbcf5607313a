"""The same job behind what else one could pick, each written as its documentation recommends.

    usual.py             FastAPI in one process, librosa, torch
    litserve_ours.py     LitServe around our preparation and the ONNX model
    litserve_librosa.py  LitServe around the usual librosa code and the ONNX model
    bentoml_ours.py      BentoML around our preparation and the ONNX model
    bentoml_librosa.py   BentoML around the usual librosa code and the ONNX model

Each is started as `python -m bench.peers.<name> --port P --workers N --var DIR` from the checkout in `.venv-bench`, listens on
127.0.0.1, answers GET on its `READY_PATH` with 200 once it is ready, takes what our service takes (`POST /v1/diagnoses`), keeps
what our service keeps (storing.py), and ends on SIGTERM with all its processes.

    arguments.py         the command line that all share
    storing.py           our embedded stores, for code that is not asynchronous
    worker_start.py      what every process does before it is ready
    ours.py              our code in one process
    usual_code.py        the usual librosa code
    litserve_api.py      what both LitServe peers share
    bentoml_service.py   the service of both BentoML peers
    bentoml_start.py     its arguments, what it does with an upload, and how it is started
"""
