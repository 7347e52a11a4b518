from __future__ import annotations

from pathlib import Path

import pytest
from support.policies import POLICIES, demo_text

from lifeboat.adapters.policy_file import read_policy, shipped_policies
from lifeboat.errors import ConfigurationError, PolicyError
from lifeboat.model.canonical import sha256_hex


def test_policy_file_is_read_with_the_hash_of_its_text(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(demo_text(), "utf-8")
    assert read_policy(file).sha256 == sha256_hex(file.read_bytes())


@pytest.mark.parametrize("name", ["demo", "digital-automotive"])
def test_shipped_policy_is_found_by_its_bare_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    policy = read_policy(Path(name))
    assert policy.name == name
    assert policy.sha256 == sha256_hex((POLICIES / f"{name}.yaml").read_bytes())


def test_own_file_goes_before_a_shipped_policy_of_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("demo").write_text(demo_text({"version": "mine"}), "utf-8")
    assert read_policy(Path("demo")).version == "mine"


def test_missing_policy_file_is_told_the_shipped_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no policy file") as caught:
        read_policy(tmp_path / "nowhere.yaml")
    assert "alarm-test, demo, digital-automotive" in caught.value.hint
    assert set(shipped_policies()) == {"alarm-test", "demo", "digital-automotive"}


def test_policy_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigurationError, match="not UTF-8 text"):
        read_policy(file)


def test_mistakes_of_a_policy_file_name_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(demo_text({"version": None}), "utf-8")
    with pytest.raises(PolicyError, match=r"mine\.yaml has 1 mistake"):
        read_policy(file)
