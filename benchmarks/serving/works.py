"""What is asked of the servers."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from benchmarks.serving.protocols import Protocol

OURS = "ours"
LOOP = "onnxruntime"
VARIANTS = ("ours-unbatched", "mosec-msgspec")
"""Measured for people: ours and a peer in another way. Programs get one way of each."""


@dataclass(frozen=True)
class Work:
    """One kind of load.

    Attributes:
        name: Its name in results.
        model: Which model is asked.
        protocol: How; servers that do not speak it have a nearest of their own.
        rows: Rows in one request.
        connections: Clients that ask at the same time, each again as soon as it has its answer.
        peers: Who is measured beside ours.
        batches: Of peers that batch requests here, the most that go into one run. Ours does as it does by default.
        loop_batch: Rows in one run of the bare loop.
        patience: Times the usual seconds, where requests are slow.
    """

    name: str
    model: str
    protocol: Protocol
    rows: int
    connections: int
    peers: tuple[str, ...]
    batches: Mapping[str, int] = field(default_factory=dict[str, int])
    loop_batch: int = 1
    patience: float = 1


_FRAMEWORKS = ("kserve", "mlserver", "bentoml", "litserve", "mosec", "mosec-msgspec", "fastapi")

WORKS = (
    Work("tabular-c1", "tabular", Protocol.V1, 1, 1, (*_FRAMEWORKS, "http-hello", LOOP)),
    Work(
        "tabular-c64",
        "tabular",
        Protocol.V1,
        1,
        64,
        (*_FRAMEWORKS, "http-hello", LOOP),
        batches={"bentoml": 64, "litserve": 64, "mosec": 64, "mosec-msgspec": 64},
        loop_batch=32,
    ),
    Work("grpc-c64", "tabular", Protocol.V2_GRPC, 1, 64, ("kserve", "mlserver")),
    Work("mlp-c1", "mlp", Protocol.V1, 1, 1, ("ours-unbatched", "kserve", "mlserver", "mosec", "http-hello", LOOP)),
    Work(
        "mlp-c64",
        "mlp",
        Protocol.V1,
        1,
        64,
        (*_FRAMEWORKS, LOOP),
        batches={"mlserver": 32, "bentoml": 32, "litserve": 32, "mosec": 32, "mosec-msgspec": 32},
        loop_batch=32,
    ),
    Work("rows256-binary", "mlp", Protocol.V2_BINARY, 256, 4, ("kserve", LOOP), loop_batch=256),
    Work("conv-json", "conv", Protocol.V2_JSON, 1, 4, ("kserve", "mlserver", LOOP), patience=2),
    Work("conv-binary", "conv", Protocol.V2_BINARY, 1, 4, ("kserve", LOOP), patience=2),
)
