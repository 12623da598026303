"""AWS credentials as the SDKs find them in a pod: variables, a web identity (IRSA), a pod's identity or a task's role.

Source: AWS SDKs and Tools Reference Guide: "Assume role with web identity" and "Container credential provider".
"""

import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import httpx
from pydantic import BaseModel, Field, ValidationError

from inference_app.registry.sigv4 import Credentials
from inference_app.registry.target import SourceUnavailableError
from inference_app.registry.transfer import brief

_RENEW_SECONDS = 300  # before they end
_CONTAINER_HOST = "http://169.254.170.2"
_STS = "{https://sts.amazonaws.com/doc/2011-06-15/}"
_SESSION = "inference-platform"


class _ContainerAnswer(BaseModel):
    access_key: str = Field(alias="AccessKeyId")
    secret_key: str = Field(alias="SecretAccessKey")
    token: str = Field(default="", alias="Token")
    expiration: datetime | None = Field(default=None, alias="Expiration")


class CredentialChain:
    """Finds credentials and renews them before they end. Used by one thread at a time.

    Args:
        environment: The environment's variables.
        http: How to ask.
        region: The region whose security token service is asked.
    """

    def __init__(self, environment: Mapping[str, str], http: httpx.Client, region: str) -> None:
        self._environment = environment
        self._http = http
        self._region = region
        self._current: Credentials | None = None

    def get(self) -> Credentials:
        """Credentials that hold for another five minutes, as far as can be had.

        Raises:
            SourceUnavailableError: there are none, or whoever gives them does not answer.
        """
        current = self._current
        if current is None or (current.expires is not None and current.expires < time.time() + _RENEW_SECONDS):
            try:
                self._current = current = self._find()
            except (httpx.HTTPError, httpx.InvalidURL, OSError, ET.ParseError, ValidationError, ValueError) as error:
                raise SourceUnavailableError(f"AWS gives no credentials: {brief(error)}") from error
        return current

    def _find(self) -> Credentials:
        variables = self._environment
        if "AWS_ACCESS_KEY_ID" in variables and "AWS_SECRET_ACCESS_KEY" in variables:
            return Credentials(
                variables["AWS_ACCESS_KEY_ID"],
                variables["AWS_SECRET_ACCESS_KEY"],
                variables.get("AWS_SESSION_TOKEN", ""),
            )
        if "AWS_WEB_IDENTITY_TOKEN_FILE" in variables and "AWS_ROLE_ARN" in variables:
            return self._of_web_identity()
        if path := variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"):
            return self._of_container(_CONTAINER_HOST + path)
        if url := variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI"):
            return self._of_container(url)
        raise SourceUnavailableError(
            "no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the pod an identity"
        )

    def _of_web_identity(self) -> Credentials:
        variables = self._environment
        suffix = "amazonaws.com.cn" if self._region.startswith("cn-") else "amazonaws.com"
        endpoint = variables.get("AWS_ENDPOINT_URL_STS") or variables.get("AWS_ENDPOINT_URL")
        form = {
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": variables["AWS_ROLE_ARN"],
            "RoleSessionName": variables.get("AWS_ROLE_SESSION_NAME", _SESSION),
            "WebIdentityToken": Path(variables["AWS_WEB_IDENTITY_TOKEN_FILE"]).read_text().strip(),
        }
        answer = self._http.post(endpoint or f"https://sts.{self._region}.{suffix}", data=form).raise_for_status()
        # The token service is trusted with more than this parser, which bounds the growth of entities besides.
        found = ET.fromstring(answer.content).find(f"{_STS}AssumeRoleWithWebIdentityResult/{_STS}Credentials")  # noqa: S314
        if found is None:
            raise ValueError("the answer of the security token service has no credentials")
        values = {name: found.findtext(f"{_STS}{name}", "") for name in ("AccessKeyId", "SecretAccessKey")}
        return Credentials(
            values["AccessKeyId"],
            values["SecretAccessKey"],
            found.findtext(f"{_STS}SessionToken", ""),
            datetime.fromisoformat(found.findtext(f"{_STS}Expiration", "")).timestamp(),
        )

    def _of_container(self, url: str) -> Credentials:
        variables = self._environment
        token = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
        if file := variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"):
            token = Path(file).read_text().strip()  # read each time, for it is rotated
        headers = {"authorization": token} if token else {}
        answer = _ContainerAnswer.model_validate_json(self._http.get(url, headers=headers).raise_for_status().content)
        expires = None if answer.expiration is None else answer.expiration.timestamp()
        return Credentials(answer.access_key, answer.secret_key, answer.token, expires)
