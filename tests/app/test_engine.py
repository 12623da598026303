"""The engine on real models: measured cost, outputs of every kind, memory, repeated requests."""
# onnxruntime ships no type information.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false, reportUnknownVariableType=false, reportUnknownArgumentType=false

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from inference_app.engine import Engine, ServingSettings, SessionSettings
from inference_app.engine.bound_run import BoundRun
from inference_app.engine.cost import Cost, measure
from inference_app.engine.memory import MemoryBudget, Resident
from inference_app.engine.onnx_model import OnnxModel
from inference_app.engine.predictor import Predictor
from inference_app.engine.response_cache import ResponseCache
from inference_app.errors import InvalidRequestError
from inference_app.metrics import Metrics
from inference_app.model import Datatype, Outcome
from tests.app.support import models

Load = Callable[..., Predictor]


@pytest.fixture
def file(tmp_path: Path) -> Callable[[bytes], Path]:
    def write(content: bytes, name: str = "model.onnx") -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return path

    return write


@pytest.fixture
def metrics() -> Metrics:
    return Metrics("cpu")


@pytest.fixture
def load(file: Callable[..., Path], metrics: Metrics) -> Load:
    engine = Engine(SessionSettings(), slots=1, memory_budget=0, observer=metrics)

    def load(content: bytes, name: str = "model.onnx", **settings: Any) -> Predictor:
        return engine.load(file(content, name), "demo", "1", ServingSettings(**settings))

    return load


def _rows(*values: float) -> dict[str, np.ndarray]:
    return {"input": np.array([[value] * 3 for value in values], dtype=np.float32)}


def test_rows_that_are_independent_share_runs(file: Callable[[bytes], Path]) -> None:
    cost = measure(OnnxModel(file(models.scaling(2)), SessionSettings()))
    assert cost.shares_runs
    assert cost.small_rows > 1


@pytest.mark.parametrize("content", [models.failing_above_one_row(), models.sum_over_rows()])
def test_rows_that_are_not_never_do(content: bytes, file: Callable[[bytes], Path]) -> None:
    assert not measure(OnnxModel(file(content), SessionSettings())).shares_runs


async def test_small_runs_are_joined_without_a_thread(load: Load, metrics: Metrics) -> None:
    predictor = load(models.scaling(2))
    answers = await asyncio.gather(*(predictor.submit(_rows(value), None) for value in range(5)))
    assert [answer["output"][0, 0] for answer in answers] == [0, 2, 4, 6, 8]
    assert 'inference_batch_size_bucket{le="8.0",model="demo",version="1"} 1.0' in metrics.exposition()[0].decode()


async def test_small_batches_leave_room_for_large_requests(
    file: Callable[..., Path], metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Cost(base=1e-3, per_row=1e-3, best_batch=2, shares_runs=True)

    def measured(_: OnnxModel) -> Cost:
        return small

    monkeypatch.setattr("inference_app.engine.engine.measure", measured)
    engine = Engine(SessionSettings(), slots=1, memory_budget=0, observer=metrics)
    predictor = engine.load(file(models.scaling(2), "model.onnx"), "demo", "1", ServingSettings())
    rows = _rows(*range(256))
    for outputs in await asyncio.gather(*(predictor.submit(rows, None) for _ in range(8))):
        np.testing.assert_array_equal(outputs["output"], 2 * rows["input"])
    engine.close()


async def test_batching_can_be_turned_off(load: Load, metrics: Metrics) -> None:
    predictor = load(models.scaling(2), max_batch_size=1)
    await asyncio.gather(*(predictor.submit(_rows(value), None) for value in range(5)))
    assert 'inference_batch_size_bucket{le="1.0",model="demo",version="1"} 5.0' in metrics.exposition()[0].decode()


async def test_values_that_the_model_cannot_compute_are_the_clients_fault(load: Load) -> None:
    predictor = load(models.lookup())
    good, bad = (np.array([[value]], dtype=np.int64) for value in (1, 99))
    with pytest.raises(InvalidRequestError, match="cannot compute these values"):
        await predictor.submit({"input": bad}, None)
    answers = await asyncio.gather(
        *(predictor.submit({"input": each}, None) for each in (good, bad, good)), return_exceptions=True
    )
    assert [isinstance(answer, Exception) for answer in answers] == [False, True, False]


async def test_who_is_alone_waits_for_nobody_and_is_found_when_others_come(load: Load, metrics: Metrics) -> None:
    predictor = load(models.scaling(2))

    def runs() -> float:
        [line] = [line for line in metrics.exposition()[0].decode().splitlines() if "batch_size_count" in line]
        return float(line.split()[-1])

    for _ in range(20):
        await predictor.submit(_rows(1), None)
    answers: list[Outcome] = []
    predictor.start(_rows(1), None, answers.append)
    assert len(answers) == 1  # before anything else had its turn
    alone = runs()
    for _ in range(3):
        outputs = await asyncio.gather(*(predictor.submit(_rows(value), None) for value in range(64)))
        assert [output["output"][0, 0] for output in outputs] == [2 * value for value in range(64)]
    assert runs() - alone < 64


async def test_values_that_fail_alone_fail_at_once(load: Load) -> None:
    predictor = load(models.lookup())
    good, bad = (np.array([[value]], dtype=np.int64) for value in (1, 99))
    for _ in range(20):
        await predictor.submit({"input": good}, None)
    with pytest.raises(InvalidRequestError, match="cannot compute these values"):
        await predictor.submit({"input": bad}, None)


def test_class_probabilities_come_as_a_labelled_tensor(load: Load) -> None:
    predictor = load(models.classifier(zipmap=True))
    [label, probabilities] = predictor.signature.outputs
    assert probabilities.labels == ("0", "1")
    assert probabilities.datatype is Datatype.FP32
    outputs = predictor.run({predictor.signature.inputs[0].name: np.zeros((4, 2), dtype=np.float32)})
    assert outputs[probabilities.name].shape == (4, 2)
    assert outputs[label.name].dtype == np.int64


@pytest.mark.parametrize("content", [models.scaling(2), models.integers()])
def test_bound_runs_give_what_others_give(content: bytes, file: Callable[[bytes], Path]) -> None:
    session = onnxruntime.InferenceSession(str(file(content)), providers=["CPUExecutionProvider"])
    [taken], [given] = session.get_inputs(), session.get_outputs()
    numbers = np.arange(6).reshape(-1, taken.shape[1])
    rows = {taken.name: numbers.astype(np.float32 if taken.type == "tensor(float)" else np.int32)}
    [bound], [plain] = BoundRun(session, "cpu")([given.name], rows), session.run([given.name], rows)
    np.testing.assert_array_equal(bound, plain)


def test_an_accelerator_that_is_not_there_is_refused(file: Callable[[bytes], Path]) -> None:
    with pytest.raises(ValueError, match="no CUDAExecutionProvider"):
        OnnxModel(file(models.scaling(2)), SessionSettings(providers=("cuda", "cpu")))


def test_a_variant_of_reduced_precision_is_known_by_its_name(load: Load) -> None:
    assert not load(models.scaling(2)).quantized
    assert load(models.scaling(2), name="model.int8.onnx").quantized


def test_the_least_recently_used_model_makes_room(file: Callable[..., Path]) -> None:
    size = len(models.scaling(2))
    budget = MemoryBudget(limit=int(size * 1.25 * 2.5))
    residents = [
        Resident(file(models.scaling(2), f"{index}.onnx"), lambda path: OnnxModel(path, SessionSettings()))
        for index in range(3)
    ]
    for resident in residents[:2]:
        budget.admit(resident)
    residents[0].model()
    budget.admit(residents[2])
    assert [resident.is_loaded for resident in residents] == [True, False, True]
    budget.use(residents[1])
    assert residents[1].model().run(_rows(1))["output"][0, 0] == 2
    assert sum(resident.is_loaded for resident in residents) == 2


async def test_an_unloaded_model_answers_after_it_is_loaded_again(file: Callable[..., Path], metrics: Metrics) -> None:
    engine = Engine(SessionSettings(), slots=1, memory_budget=1, observer=metrics)
    first, second = (
        engine.load(file(models.scaling(factor), f"{factor}.onnx"), "demo", str(factor), ServingSettings())
        for factor in (2, 3)
    )
    for _ in range(3):
        for predictor, factor in ((first, 2), (second, 3)):
            outputs = await asyncio.wait_for(predictor.submit(_rows(1), None), 10)
            assert outputs["output"][0, 0] == factor


async def test_a_repeated_request_is_answered_from_memory(load: Load, metrics: Metrics) -> None:
    predictor = load(models.scaling(2), response_cache_bytes=10_000)
    for value in (1, 1, 2, 1):
        outputs = await predictor.submit(_rows(value), None)
        assert outputs["output"][0, 0] == 2 * value
    assert 'inference_batch_size_count{model="demo",version="1"} 2.0' in metrics.exposition()[0].decode()


async def test_remembered_answers_stay_within_their_bytes(load: Load, metrics: Metrics) -> None:
    predictor = load(models.scaling(2), response_cache_bytes=600)
    for value in (*range(10), 0, 9):
        await predictor.submit(_rows(value), None)
    assert 'inference_batch_size_count{model="demo",version="1"} 11.0' in metrics.exposition()[0].decode()


def test_remembered_answers_hold_nothing_else() -> None:
    cache = ResponseCache(10_000)
    batch = np.zeros((256, 100), np.float32)
    cache.keeping(b"row", lambda _: None)({"output": batch[3:4]})
    outputs = cache.get(b"row")
    assert outputs is not None
    assert outputs["output"].base is None
    cache.keeping(b"text", lambda _: None)({"output": np.array(["x" * 20_000], dtype=object)})
    assert cache.get(b"text") is None, "it is larger than all that may be kept"
