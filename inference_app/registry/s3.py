"""Models in an S3 bucket, or in a store that speaks S3.

Source: Amazon S3 API Reference, `ListObjectsV2`, `HeadObject`, `GetObject`; AWS SDKs and Tools Reference Guide for the
variables AWS_REGION, AWS_DEFAULT_REGION, AWS_ENDPOINT_URL and AWS_ENDPOINT_URL_S3.
"""

import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from xml.etree import ElementTree as ET

import httpx

from inference_app.registry.cache import Incoming
from inference_app.registry.credentials import CredentialChain
from inference_app.registry.layout import SHA256, SIDE_FILE_BYTES, Choice, beside
from inference_app.registry.sigv4 import escape_path, query_string, signed_headers
from inference_app.registry.source import IsCancelled
from inference_app.registry.target import (
    BrokenModelError,
    NoSuchModelError,
    SourceUnavailableError,
    Target,
    Wanted,
)
from inference_app.registry.transfer import DOWNLOAD_TIMEOUT, brief, chunks

_TIMEOUT = httpx.Timeout(10, connect=3)  # seconds for each step
_MOST_PAGES = 100  # of a thousand objects each


@dataclass(frozen=True, slots=True)
class _Object:
    """What a listing says of an object; equal as long as it is the same content."""

    etag: str
    modified: str
    size: int


class S3Remote:
    """The versions below a prefix, in the layout of `inference_app.registry.layout`.

    A model file's SHA-256 is promised by an object `<file>.sha256` beside it or by the metadata `sha256` of the file's
    own object. Where there is neither, the content is pinned by its ETag and hashed as it arrives.

    Args:
        name: The name it is served under.
        bucket: The bucket.
        prefix: Where in it, without slashes at its ends; may be empty.
        choice: What to serve of what is there.
        environment: The environment's variables, of which those named AWS_* are read.
    """

    def __init__(self, name: str, bucket: str, prefix: str, choice: Choice, *, environment: Mapping[str, str]) -> None:
        self._name = name
        self._place = f"s3://{bucket}/{prefix}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._choice = choice
        self._region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or "us-east-1"
        self._base = _base(bucket, self._region, environment)
        headers = {"user-agent": "inference-platform", "accept-encoding": "identity"}
        self._http = httpx.Client(timeout=_TIMEOUT, headers=headers)
        self._credentials = CredentialChain(environment, self._http, self._region)
        self._listed: dict[str, _Object] = {}
        self._promises: dict[tuple[str, _Object, _Object | None], str | None] = {}

    def close(self) -> None:
        """Let go of connections."""
        self._http.close()

    def resolve(self) -> Wanted:
        """The versions that the policy picks of those that are there; see `Source.resolve`."""
        self._listed = self._list()
        files = self._choice.pick(self._listed)
        if not files:
            raise NoSuchModelError(f"{self._place} has no <version>/model.onnx that is to be served")
        known, self._promises = self._promises, {}
        default, *others = [self._target(version, path, known) for version, path in files.items()]
        missing = tuple(version for version in self._choice.specific if version not in files)
        return Wanted(default, tuple(others), missing)

    def download(self, target: Target, into: Incoming, is_cancelled: IsCancelled) -> None:
        """Stream a version's files; see `Remote.download`."""
        path = target.source.removeprefix(f"{self._place.rstrip('/')}/")
        folder = path.removesuffix(target.file)
        for name in beside(target.file):
            if (side := self._listed.get(folder + name)) is None:
                continue
            if side.size > SIDE_FILE_BYTES:
                raise BrokenModelError(f"its {name} is larger than {SIDE_FILE_BYTES} bytes")
            self._stream(folder + name, side.etag, into, is_cancelled)
        sha256 = self._stream(path, target.pin, into, is_cancelled)
        if target.sha256 not in (None, sha256):
            raise BrokenModelError(f"its {target.file} has SHA-256 {sha256}, promised is {target.sha256}")

    def _target(
        self, version: str, path: str, known: Mapping[tuple[str, _Object, _Object | None], str | None]
    ) -> Target:
        content = self._listed[path]
        beside_it = self._listed.get(f"{path}.sha256")
        key = path, content, beside_it
        self._promises[key] = known[key] if key in known else self._promise(path, has_file=beside_it is not None)
        source = f"{self._place.rstrip('/')}/{path}"
        return Target(self._name, version, source, self._promises[key], file=path.rpartition("/")[2], pin=content.etag)

    def _promise(self, path: str, *, has_file: bool) -> str | None:
        """The SHA-256 that somebody promised of an object."""
        if has_file:
            with self._asking("GET", f"{path}.sha256") as response:
                words = response.read()[:1024].decode(errors="replace").split()
            promised, of = (words[0].lower() if words else ""), f"{path}.sha256"
        else:
            with self._asking("HEAD", path) as response:
                promised, of = response.headers.get("x-amz-meta-sha256", "").lower(), f"metadata of {path}"
            if not promised:
                return None
        if not SHA256.fullmatch(promised):
            raise SourceUnavailableError(f"the {of} in {self._place} is no SHA-256 of 64 hexadecimal digits")
        return promised

    def _stream(self, path: str, etag: str, into: Incoming, is_cancelled: IsCancelled) -> str:
        with self._asking("GET", path, etag=etag) as response:
            return into.receive(path.rpartition("/")[2], chunks(response, is_cancelled))

    def _list(self) -> dict[str, _Object]:
        """Every object below the prefix, by its path from there."""
        objects: dict[str, _Object] = {}
        query = {"list-type": "2", "prefix": self._prefix}
        for _ in range(_MOST_PAGES):
            with self._asking("GET", "", query=query) as response:
                page = _parse(response.read())
            for entry in page.iterfind("{*}Contents"):
                path = entry.findtext("{*}Key", "").removeprefix(self._prefix)
                size = int(entry.findtext("{*}Size", "0"))
                objects[path] = _Object(entry.findtext("{*}ETag", ""), entry.findtext("{*}LastModified", ""), size)
            if not (token := page.findtext("{*}NextContinuationToken")):
                return objects
            query["continuation-token"] = token
        raise SourceUnavailableError(f"{self._place} holds more than {_MOST_PAGES * 1000} objects")

    @contextmanager
    def _asking(
        self, method: str, path: str, *, etag: str = "", query: Mapping[str, str] | None = None
    ) -> Generator[httpx.Response]:
        """Ask, and give the answer if it is a good one.

        Args:
            method: GET or HEAD.
            path: An object's path below the prefix; of the bucket itself where there is a query.
            etag: The content that is meant; empty for whatever is there.
            query: The query, if any.

        Raises:
            NoSuchModelError: there is no such bucket or object.
            SourceUnavailableError: no answer, or no good one.
        """
        key = "" if query else self._prefix + path
        url = httpx.URL(f"{self._base}/{escape_path(key)}" + (f"?{query_string(query)}" if query else ""))
        headers = signed_headers(method, url, self._credentials.get(), region=self._region, now=time.time())
        if etag:
            headers["if-match"] = etag
        try:
            with self._http.stream(method, url, headers=headers, timeout=DOWNLOAD_TIMEOUT) as response:
                if response.status_code == 200:
                    yield response
                    return
                body = response.read()
        except httpx.HTTPError as error:
            raise SourceUnavailableError(f"{self._place}: {brief(error)}") from error
        reason = f"{self._place}: the store answers {response.status_code} {_reason(body)} for {path or 'the listing'}"
        if response.status_code == 404:
            raise NoSuchModelError(reason)
        if response.status_code == 412:
            raise SourceUnavailableError(f"{self._place}: {path} has changed since it was listed")
        if "x-amz-bucket-region" in response.headers:
            reason += f"; the bucket is in {response.headers['x-amz-bucket-region']}, asked was {self._region}"
        raise SourceUnavailableError(reason)


def _base(bucket: str, region: str, environment: Mapping[str, str]) -> str:
    """The bucket's URL: below a given endpoint, else a host of its own, as far as Amazon's certificate covers it."""
    if endpoint := environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL"):
        return f"{endpoint.rstrip('/')}/{bucket}"
    host = f"s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    return f"https://{host}/{bucket}" if "." in bucket else f"https://{bucket}.{host}"


def _parse(document: bytes) -> ET.Element:
    try:
        # The store is trusted with the models themselves, and the parser bounds the growth of entities.
        return ET.fromstring(document)  # noqa: S314
    except ET.ParseError as error:
        raise SourceUnavailableError(f"the store's answer makes no sense: {error}") from error


def _reason(document: bytes) -> str:
    """The code of an error document, such as AccessDenied; a HEAD has none."""
    try:
        return ET.fromstring(document).findtext("Code", "")  # noqa: S314 - as above
    except ET.ParseError:
        return ""
