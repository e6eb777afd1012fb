"""Effective settings: what each is, and where it comes from."""

import pytest

from callcenter.configuration.rules import EffectiveSetting, SettingSource, effective_settings
from callcenter.platform.core.settings import Settings, read_settings


@pytest.fixture
def effective(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> dict[str, EffectiveSetting]:
    file = tmp_path_factory.mktemp("site") / "callcenter.env"
    file.write_text(
        "CALLCENTER_RING_TIMEOUT=7.5\n"
        "CALLCENTER_PATIENCE=60\n"
        'CALLCENTER_RETENTION_DAYS={"*": 1825}\n'
        "CALLCENTER_DATABASE_URL=postgresql://somebody:open-sesame@database/callcenter\n"
    )
    monkeypatch.setitem(Settings.model_config, "env_file", file)
    environment = {"CALLCENTER_PATIENCE": "90", "CALLCENTER_WEB_PORT": ""}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    return {each.name: each for each in effective_settings(read_settings(), environment)}


def test_a_setting_says_where_it_comes_from(effective: dict[str, EffectiveSetting]) -> None:
    said = {
        name: (effective[f"CALLCENTER_{name}"].value, effective[f"CALLCENTER_{name}"].source)
        for name in ("RING_TIMEOUT", "PATIENCE", "RETENTION_DAYS", "WEB_PORT")
    }
    assert said == {
        "RING_TIMEOUT": ("7.5", SettingSource.FILE),
        "PATIENCE": ("90", SettingSource.ENVIRONMENT),
        "RETENTION_DAYS": ('{"*": 1825}', SettingSource.FILE),
        "WEB_PORT": (str(Settings.model_fields["web_port"].default), SettingSource.DEFAULT),
    }


def test_no_secret_is_in_effective_settings(effective: dict[str, EffectiveSetting]) -> None:
    assert "open-sesame" not in str(effective)
    assert effective["CALLCENTER_DATABASE_URL"].value is None
    secret = {name for name, each in effective.items() if each.value is None}
    fields = {key for key, field in Settings.model_fields.items() if "Secret" in str(field)}
    assert secret <= {f"CALLCENTER_{key}".upper() for key in fields}


def test_a_search_finds_names_values_and_descriptions(
    effective: dict[str, EffectiveSetting],
) -> None:
    rings = effective["CALLCENTER_RING_TIMEOUT"]
    assert rings.mentions("ring_time")
    assert rings.mentions("7.5")
    assert not rings.mentions("patience")
