"""The documentation says what there is."""

from pathlib import Path

import pytest

from inference_app.settings import ModelSettings, Settings

_PAGE = Path(__file__).parents[2] / "docs" / "server.md"
_VARIABLES = {f"INFERENCE_{name.upper()}": field for name, field in Settings.model_fields.items()}


@pytest.mark.parametrize(("name", "field"), [*_VARIABLES.items(), *ModelSettings.model_fields.items()])
def test_every_setting_is_described(name: str, field: object) -> None:
    assert f"| `{name}` | {getattr(field, 'description', None)} |" in _PAGE.read_text()
