"""The good models through gRPC: answers, batches, full queues, expired requests."""

import queue
from collections.abc import Iterator

import numpy as np
import pytest
from tritonclient import grpc
from tritonclient.utils import InferenceServerException

from local_triton import TritonServer
from tests.integration.processes import wait_for


@pytest.fixture(scope="module")
def client(triton: TritonServer) -> Iterator[grpc.InferenceServerClient]:
    with grpc.InferenceServerClient(triton.grpc_url) as client:
        yield client


def tensor(name: str, values: np.ndarray, triton_type: str) -> grpc.InferInput:
    return grpc.InferInput(name, values.shape, triton_type).set_data_from_numpy(values)


def spectrogram(value: int, batch: int = 1) -> grpc.InferInput:
    return tensor("x", np.full((batch, 4, 6), value, np.uint8), "UINT8")


def infer_at_once(
    client: grpc.InferenceServerClient, model: str, requests: list[list[grpc.InferInput]]
) -> list[grpc.InferResult | InferenceServerException]:
    """Sends all requests before the first answer comes; results in the order of the requests."""
    answers: queue.Queue[tuple[int, object]] = queue.Queue()
    for number, inputs in enumerate(requests):

        def done(result: object, error: object, number: int = number) -> None:
            answers.put((number, error or result))

        client.async_infer(model, inputs, done)
    return [answer for _, answer in sorted((answers.get(timeout=30) for _ in requests), key=lambda pair: pair[0])]


def statistics(client: grpc.InferenceServerClient, model: str) -> tuple[int, int]:
    """(nv_inference_count, nv_inference_exec_count)"""
    stats = client.get_inference_statistics(model).model_stats[0]
    return stats.inference_count, stats.execution_count


def test_answers_are_those_of_the_graph(client: grpc.InferenceServerClient) -> None:
    values = np.arange(3 * 24, dtype=np.uint8).reshape(3, 4, 6)
    result = client.infer("batching", [tensor("x", values, "UINT8")])
    expected = values.mean(axis=(1, 2), dtype=np.float32)[:, None]
    # One float32 mean of 24 small integers: exact up to the last bit.
    np.testing.assert_allclose(result.as_numpy("mean"), expected, rtol=1e-6)
    np.testing.assert_allclose(result.as_numpy("twice"), np.repeat(expected, 2, axis=1), rtol=1e-6)
    assert result.as_numpy("mean").dtype == np.float32


def test_an_answer_leaves_no_error_in_the_log(triton: TritonServer, client: grpc.InferenceServerClient) -> None:
    for _ in range(3):  # what an answer leaves is printed after it was sent
        client.infer("batching", [spectrogram(7)])
    log = triton.log.read_text("utf-8")
    assert "PyCapsule" not in log
    assert "Exception ignored" not in log


def test_only_the_outputs_that_were_asked_for(client: grpc.InferenceServerClient) -> None:
    result = client.infer("batching", [spectrogram(7)], outputs=[grpc.InferRequestedOutput("twice")])
    assert result.as_numpy("twice").tolist() == [[7.0, 7.0]]
    assert result.as_numpy("mean") is None


def test_concurrent_requests_share_a_run_and_keep_their_answers(client: grpc.InferenceServerClient) -> None:
    before = statistics(client, "batching")
    sizes = [1 + n % 3 for n in range(32)]
    answers = infer_at_once(client, "batching", [[spectrogram(n, size)] for n, size in enumerate(sizes)])
    for n, (answer, size) in enumerate(zip(answers, sizes, strict=True)):
        assert answer.as_numpy("mean").tolist() == [[float(n)]] * size
        assert answer.as_numpy("twice").shape == (size, 2)
    # Triton counts a request after it has answered it.
    wait_for(lambda: statistics(client, "batching")[0] >= before[0] + sum(sizes), "all are counted", patience_s=5.0)
    after = statistics(client, "batching")
    inferences, executions = after[0] - before[0], after[1] - before[1]
    assert inferences == sum(sizes)
    # At most 8 fit into a run, so a mean of 3 shows real batches with room for a slow machine.
    assert inferences / executions > 3


def test_a_failing_request_leaves_its_neighbours_alone(client: grpc.InferenceServerClient) -> None:
    indices = [0, 1, 9, 3]
    requests = [[tensor("index", np.array([[index]], np.int64), "INT64")] for index in indices]
    answers = infer_at_once(client, "lookup", requests)
    assert isinstance(answers[2], InferenceServerException)
    assert "indices element out of data bounds" in str(answers[2])
    assert [answers[n].as_numpy("value").item() for n in (0, 1, 3)] == [10.0, 11.0, 13.0]


def test_without_batch_axis_and_with_another_file_name(client: grpc.InferenceServerClient) -> None:
    assert client.infer("fixed", [spectrogram(9)]).as_numpy("mean").tolist() == [[9.0]]


def test_warm_up_really_ran(client: grpc.InferenceServerClient) -> None:
    # Triton doesn't count warm-ups in the inferences, but it only says READY after them.
    assert client.is_model_ready("warm")
    config = client.get_model_config("warm").config
    assert config.model_warmup[0].batch_size == 8


def test_full_queue_is_unavailable(client: grpc.InferenceServerClient) -> None:
    answers = infer_at_once(client, "short_queue", [[spectrogram(1)] for _ in range(6)])
    refused = [answer for answer in answers if isinstance(answer, InferenceServerException)]
    assert refused
    assert len(refused) < len(answers)
    assert {error.status() for error in refused} == {"StatusCode.UNAVAILABLE"}
    assert all("maximum queue size" in str(error) for error in refused)


def test_expired_request_is_unavailable(client: grpc.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="timeout expired") as caught:
        client.infer("impatient", [spectrogram(1)])
    assert caught.value.status() == "StatusCode.UNAVAILABLE"


def test_too_large_a_batch_and_a_wrong_shape_are_refused(client: grpc.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match="batch-size must be <= 8"):
        client.infer("batching", [spectrogram(1, batch=9)])
    with pytest.raises(InferenceServerException, match="unexpected shape"):
        client.infer("batching", [tensor("x", np.zeros((1, 4, 7), np.uint8), "UINT8")])
