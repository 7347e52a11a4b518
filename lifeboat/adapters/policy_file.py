"""Policy files on disk: one's own by their path, the shipped ones by their bare name."""

from __future__ import annotations

from pathlib import Path

import lifeboat
from lifeboat.errors import ConfigurationError
from lifeboat.model.policy import Policy, load_policy

_PACKAGE = Path(lifeboat.__file__).parent
_SHIPPED = (_PACKAGE / "policies", _PACKAGE.parent / "policies")
"""In an installed wheel, and in a checkout."""


def read_policy(path: Path) -> Policy:
    """The policy in the file ``path``, or the shipped one of that bare name (``demo``).

    Raises ``ConfigurationError`` when there is no such file or it is no UTF-8 text, ``PolicyError`` when what
    it says is wrong.
    """
    found = _find(path)
    try:
        text = found.read_bytes().decode("utf-8")
    except OSError as error:
        raise ConfigurationError(f"the policy file {found} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(
            f"the policy file {found} is not UTF-8 text (byte {error.start})", hint="save it as UTF-8"
        ) from error
    return load_policy(text, where=str(found))


def shipped_policies() -> dict[str, Path]:
    """The policies that come with Lifeboat, by their bare name."""
    return {file.stem: file for folder in reversed(_SHIPPED) for file in sorted(folder.glob("*.yaml"))}


def _find(path: Path) -> Path:
    if path.is_file():
        return path
    shipped = shipped_policies()
    if str(path) in shipped:
        return shipped[str(path)]
    raise ConfigurationError(
        f"there is no policy file {str(path)!r}",
        hint=f"give the path of a policy file, or the name of a shipped policy: {', '.join(sorted(shipped))}",
    )
