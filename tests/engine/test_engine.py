"""The real engine against a real API server."""

import base64
import json
import time

import pytest

from tests.platform import Platform

pytestmark = pytest.mark.timeout(3600)  # the first test waits for the whole platform, compiled on a new machine


def test_the_outputs_are_complete(platform: Platform) -> None:
    names = {"inferenceUrl", "mlflowUrl", "modelName", "imageRef", "namespace", "kubeconfigPath"}
    assert names <= platform.outputs.keys()
    assert "@sha256:" in platform.outputs["imageRef"]


def test_a_second_up_changes_nothing_and_is_quick(platform: Platform) -> None:
    began = time.monotonic()
    done = platform.pulumi("up", "--yes", "--skip-preview", "--expect-no-changes")
    assert done.returncode == 0, done.stdout + done.stderr
    seconds = time.monotonic() - began
    print(f"pulumi up with no change: {seconds:.1f} s")
    assert seconds <= 10


def test_no_secret_is_in_the_state_in_plain_text(platform: Platform) -> None:
    (credentials, *_) = platform.get("secrets", "--selector", "app.kubernetes.io/component=database")
    password = credentials["data"]["password"]
    state = platform.state("stack", "export")
    assert json.loads(state)["deployment"]["resources"]
    assert password not in state
    assert base64.b64decode(password).decode() not in state


def test_an_update_reaches_the_cluster_and_can_be_taken_back(platform: Platform) -> None:
    for replicas in (2, 1):
        done = platform.pulumi("up", "--yes", "--skip-preview", config={"inference-platform:replicas": str(replicas)})
        assert done.returncode == 0, done.stdout + done.stderr
        (deployment,) = platform.get("deployments", "--selector", "app.kubernetes.io/component=predictor")
        assert deployment["status"]["readyReplicas"] == replicas


def test_refresh_finds_what_was_changed_behind_its_back(platform: Platform) -> None:
    selector = ("--selector", "app.kubernetes.io/component=predictor")
    platform.kubectl("scale", "deployment", *selector, "--replicas=2")
    found = platform.pulumi("refresh", "--preview-only", "--expect-no-changes")
    assert found.returncode != 0
    assert "Deployment" in found.stdout
    assert platform.pulumi("up", "--yes", "--skip-preview", "--refresh").returncode == 0
    (deployment,) = platform.get("deployments", *selector)
    assert deployment["spec"]["replicas"] == 1


def test_a_wrong_setting_is_one_line_that_names_it(platform: Platform) -> None:
    done = platform.pulumi("preview", config={"inference-platform:replicas": "0"})
    assert done.returncode != 0
    complaints = [line for line in (done.stdout + done.stderr).splitlines() if "inference-platform:replicas" in line]
    assert complaints
    assert "got '0'; it takes" in complaints[0]
    assert "Traceback" not in done.stdout + done.stderr
