"""The same task behind what else one could pick, each written as its documentation recommends.

Each is started as `python -m bench.baselines.<name> --port P --workers N --var DIR` from the checkout in `.venv-bench`,
listens on 127.0.0.1, answers GET on its `READY_PATH` with 200 once it is ready, takes what our service takes
(`POST /v1/diagnoses`), keeps what our service keeps, and ends on SIGTERM with all its processes.

arguments          the command line that all share
storing            our embedded stores, for code that is not asynchronous
worker_start       what every process does before it is ready
usual_code         the usual librosa code
ours               our code in one process
usual              FastAPI in one process, librosa, torch
litserve_api       what both LitServe baselines share
litserve_librosa   LitServe around the usual librosa code and the ONNX model
litserve_ours      LitServe around our preparation and the ONNX model
bentoml_start      arguments, upload and start of the BentoML service
bentoml_service    the service of both BentoML baselines
bentoml_librosa    BentoML around the usual librosa code and the ONNX model
bentoml_ours       BentoML around our preparation and the ONNX model
"""
