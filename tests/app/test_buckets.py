"""Models in a real S3 store, the signature of requests to it, and where its credentials come from."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import count
from pathlib import Path
from urllib.parse import parse_qs

import httpx
import pytest

from inference_app.registry.credentials import CredentialChain
from inference_app.registry.sigv4 import Credentials, escape_path, query_string, signed_headers
from inference_app.registry.target import SourceUnavailableError
from tests.app.support import models
from tests.app.support.buckets import Place, place_in
from tests.app.support.following import Following, model
from tests.app.support.processes import eventually, free_port
from tests.serving.support.object_store import ObjectStore, object_store

_NUMBERS = count()


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    with object_store(tmp_path_factory.mktemp("store")) as running:
        yield running


@pytest.fixture
def bucket(store: ObjectStore) -> Place:
    return place_in(store, f"test {next(_NUMBERS)}/")


def _following(tmp_path: Path, place: Place, path: str = "m", *, latest: int = 1) -> Following:
    return Following(tmp_path / "cache", model(place.uri(path), latest=latest), environment=place.environment)


def test_versions_below_a_prefix(tmp_path: Path, bucket: Place) -> None:
    for version in (1, 2, 10):
        bucket.put(f"a/b c+ü/{version}/model.onnx", models.scaling(version))
    bucket.put("a/b c+ü/11/notes.txt", b"no model yet")
    bucket.put("a/other/99/model.onnx", models.scaling(99))
    with _following(tmp_path, bucket, "a/b c+ü", latest=2) as following:
        eventually(lambda: following.versions == ["10", "2"], "two versions")
        assert following.default() == "10"
        assert following.answer() == [[10, 20, 30]]
        bucket.put("a/b c+ü/11/model.onnx", models.scaling(11))
        following.await_default("11")


def test_a_whole_bucket_and_overwritten_content(tmp_path: Path, store: ObjectStore) -> None:
    store.client.create_bucket(Bucket="whole")
    bucket = replace(place_in(store, ""), bucket="whole")
    bucket.put("model.onnx", models.scaling(2))
    with _following(tmp_path, bucket, "") as following:
        following.await_default("1")
        bucket.put("model.onnx", models.scaling(3))
        eventually(lambda: following.answer() == [[3, 6, 9]], "the new content")
        assert following.versions == ["1"]


@pytest.mark.parametrize("where", ["metadata", "file"])
def test_a_promised_hash_is_kept(tmp_path: Path, bucket: Place, where: str, caplog: pytest.LogCaptureFixture) -> None:
    def put(version: str, content: bytes, promised: str) -> None:
        if where == "file":
            bucket.put(f"m/{version}/model.onnx.sha256", f"{promised}  model.onnx\n".encode())
        metadata = {"sha256": promised} if where == "metadata" else {}
        bucket.put(f"m/{version}/model.onnx", content, **metadata)

    put("1", models.scaling(1), models.sha256(models.scaling(1)))
    with _following(tmp_path, bucket, "m") as following:
        following.await_default("1")
        put("2", models.scaling(2), "0" * 64)
        following.await_failures("2")
        eventually(lambda: "promised is 000" in caplog.text, "the reason in the log")
        assert following.default() == "1"
        time.sleep(1.1)  # the same bytes are known for new by their time, which is in seconds
        put("2", models.scaling(2), models.sha256(models.scaling(2)))
        following.await_default("2")


def test_golden_cases_come_along(tmp_path: Path, bucket: Place) -> None:
    golden = {"inputs": {"input": [[1, 2, 3]]}, "outputs": {"output": [[5, 10, 15]]}}
    bucket.put("m/1/golden.json", json.dumps(golden).encode())
    bucket.put("m/1/model.onnx", models.scaling(4))
    with _following(tmp_path, bucket, "m") as following:
        following.await_failures("1")
        assert "golden cases: output 'output', row 0" in following.reason()
        bucket.put("m/1/model.onnx", models.scaling(5))
        following.await_default("1")


def test_many_objects_take_several_pages(tmp_path: Path, bucket: Place) -> None:
    for number in range(1100):
        bucket.put(f"m/1/{number:04}", b"")
    bucket.put("m/2/model.onnx", models.scaling(2))
    with _following(tmp_path, bucket, "m") as following:
        following.await_default("2")


def test_without_the_store_the_last_good_version_is_served(tmp_path: Path, bucket: Place) -> None:
    bucket.put("m/1/model.onnx", models.scaling(1))
    with _following(tmp_path, bucket, "m") as following:
        following.await_default("1")
    nowhere = f"http://127.0.0.1:{free_port()}"
    gone = replace(bucket, environment={**bucket.environment, "AWS_ENDPOINT_URL": nowhere})
    with _following(tmp_path, gone, "m") as following:
        following.await_default("1")


def test_what_the_store_says_is_passed_on(tmp_path: Path, bucket: Place) -> None:
    wrong = replace(bucket, environment={**bucket.environment, "AWS_SECRET_ACCESS_KEY": "wrong"})
    with _following(tmp_path, wrong, "m") as following:
        following.look()
        assert "the store answers 403 SignatureDoesNotMatch for the listing" in following.reason()
    with _following(tmp_path, replace(bucket, bucket="no-such-bucket"), "m") as following:
        following.look()
        assert "the store answers 404 NoSuchBucket" in following.reason()
    with _following(tmp_path, replace(bucket, environment={}), "m") as following:
        following.look()
        assert "no AWS credentials: set AWS_ACCESS_KEY_ID" in following.reason()


@pytest.mark.parametrize("token", ["", "a token"])
def test_signatures_are_those_of_the_sdk(token: str, monkeypatch: pytest.MonkeyPatch) -> None:
    auth = pytest.importorskip("botocore.auth")
    awsrequest = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials")
    query = {"list-type": "2", "prefix": "a/b c+ü~*'()", "continuation-token": "1/x=="}
    url = httpx.URL(f"https://bucket.example:9000/{escape_path('a/b c+ü~*()!')}?{query_string(query)}")
    moment = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    ours = signed_headers("GET", url, Credentials("key", "secret", token), region="eu-west-1", now=moment.timestamp())

    def frozen(*_: object, **__: object) -> datetime:
        return moment.replace(tzinfo=None)

    monkeypatch.setattr(auth, "get_current_datetime", frozen)
    request = awsrequest.AWSRequest("GET", str(url), headers={"x-amz-content-sha256": ours["x-amz-content-sha256"]})
    signer = auth.S3SigV4Auth(credentials.Credentials("key", "secret", token or None), "s3", "eu-west-1")
    signer.add_auth(request)
    assert request.headers["X-Amz-Date"] == ours["x-amz-date"]
    assert request.headers["Authorization"] == ours["authorization"]


class _Answers(BaseHTTPRequestHandler):
    """A security token service and a pod identity agent in one."""

    ends = timedelta(hours=1)
    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["authorization"]))
        document = {"AccessKeyId": "pod", "SecretAccessKey": "s", "Token": "t", "Expiration": self._end()}
        self._send(json.dumps(document).encode())

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
        self.asked.append((form["RoleArn"][0], form["WebIdentityToken"][0]))
        self._send(
            f"""<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
            <AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>web</AccessKeyId>
            <SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>{self._end()}</Expiration>
            </Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>""".encode()
        )

    def _end(self) -> str:
        return (datetime.now(UTC) + self.ends).strftime("%Y-%m-%dT%H:%M:%SZ")

    def _send(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        """Say nothing."""


@pytest.fixture
def identity() -> Iterator[tuple[str, type[_Answers]]]:
    handler = type("Answers", (_Answers,), {"asked": []})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", handler
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("kind", ["web", "pod"])
def test_a_pods_identity(tmp_path: Path, identity: tuple[str, type[_Answers]], kind: str) -> None:
    url, service = identity
    token = tmp_path / "token"
    token.write_text("first\n")
    environment = {
        "web": {"AWS_WEB_IDENTITY_TOKEN_FILE": str(token), "AWS_ROLE_ARN": "role", "AWS_ENDPOINT_URL_STS": url},
        "pod": {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{url}/v1/credentials",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": str(token),
        },
    }[kind]
    with httpx.Client() as http:
        chain = CredentialChain(environment, http, "eu-west-1")
        found = chain.get()
        assert (found.access_key, found.secret_key, found.token) == (kind, "s", "t")
        assert found.expires is not None
        assert 3500 < found.expires - time.time() < 3601
        assert "s" not in repr(found).replace("Credentials", "")
        assert chain.get() is found
        assert service.asked == [({"web": "role", "pod": "/v1/credentials"}[kind], "first")]
        service.ends = timedelta(minutes=4)
        token.write_text("second")
        CredentialChain(environment, http, "eu-west-1").get()
        renewed = CredentialChain(environment, http, "eu-west-1")
        assert renewed.get() is not renewed.get(), "what ends within five minutes is renewed"
        assert service.asked[-1][1] == "second"


def test_an_identity_that_cannot_be_had(tmp_path: Path) -> None:
    environment = {"AWS_WEB_IDENTITY_TOKEN_FILE": str(tmp_path / "absent"), "AWS_ROLE_ARN": "role"}
    with httpx.Client() as http, pytest.raises(SourceUnavailableError, match="AWS gives no credentials: FileNotFound"):
        CredentialChain(environment, http, "eu-west-1").get()
