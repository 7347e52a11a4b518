"""Every way in which Lifeboat says no.

    LifeboatError                     what went wrong, where, and what to do next
    ├── PolicyError                   the policy file is wrong; carries every problem at once
    ├── ConfigurationError            a block, a key or a program is missing or unusable
    ├── Refused                       a guard that protects data said no; nothing was changed
    │   ├── PreflightRefused          the source would not be backed up whole
    │   ├── PruneRefused              pruning stopped on a doubt
    │   └── RestoreRefused            the target is not safe to write to
    ├── SourceError                   the source failed or is not what the policy says
    │   ├── SourcesFailed             some sources of a run are not backed up well; the others are committed
    │   ├── ProducerFailed            pg_dump, pg_dumpall or a COPY ended badly
    │   ├── SourceUnreachable         no answer, a broken one, or too busy        (may be repeated)
    │   ├── SourceHostKeyMismatch     somebody else answers at that address       (security)
    │   ├── SourceDenied              the credential is not accepted, or does not permit this
    │   ├── SourceMissing             the share, its snapshot or the whole tree is gone
    │   ├── SnapshotLimitReached      the source holds as many snapshots as it may
    │   ├── EntryMissing              one file or folder is gone; a FileNotFoundError too
    │   ├── EntryExists               the name is taken; a FileExistsError too
    │   └── EntryChanged              a file was written while it was read
    ├── SealingFailed                 compression or encryption could not be accounted for
    ├── SpoolFull                     the spool's limit, or its disk, is exhausted
    ├── TimeLimitExceeded             a limit of the policy ended the work
    ├── Cancelled                     somebody ended the run; nothing was committed
    ├── SuspectBackup                 committed, but too unlike its predecessors to be called good (F9)
    ├── RestoreFailed                 the target is left marked incomplete
    │   ├── TargetUnreachable         the target's connection is lost, refused or silent  (may be repeated)
    │   ├── TargetHostKeyMismatch     somebody else answers at the target's address  (security)
    │   ├── TargetDenied              the account may not write there
    │   └── TargetFull                no space left at the target
    ├── DrillMissed                   an objective was missed, or what came back is not what was saved
    ├── AlarmSilent               a planted fault was not caught by a drill
    ├── SandboxNotDestroyed           restored data may still be there                (security)
    ├── CouldNotMeasure               what is asked for cannot be known; never a guess, never green
    ├── StoreError                    the store said no, or nothing
    │   ├── StoreUnreachable          connection lost, refused or silent          (may be repeated)
    │   ├── StoreAuthenticationFailed the key was not accepted
    │   ├── StoreHostKeyMismatch      somebody else answers at that address       (security)
    │   ├── StoreDenied               the account may not do this
    │   ├── StoreObjectMissing        no such object
    │   ├── StoreObjectExists         the name is taken; objects are created once
    │   ├── StoreFull                 no space left
    │   └── StoreProtocolError        an answer that makes no sense
    └── IntegrityError                what is stored is not what was signed       (security)
        ├── ChecksumMismatch          length or SHA-256 differ
        ├── SignatureInvalid          unsigned, altered, or signed by an unknown key
        ├── ChainBroken               a manifest is missing, repeated or forked
        └── EnvironmentMismatch       an object of another environment

Whatever is not below ``LifeboatError`` is a defect of ours, and is never caught to carry on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lifeboat.model.drill_record import DrillRecord
    from lifeboat.model.outcome import SourceOutcome
    from lifeboat.model.restore_outcome import RestoreOutcome


class LifeboatError(Exception):
    """What went wrong and where, in one sentence; ``hint`` says what to do next."""

    retryable = False
    """Whether doing the same again may help."""
    security = False
    """Whether this must reach the security channel at once (clause P19)."""
    exit_code = 1
    """What the command line returns (``docs/exit-codes.md``)."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n  → {self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # Exceptions cross process boundaries; the default would lose the keyword argument.
        return (_rebuild, (type(self), self.message, self.hint))


def _rebuild(kind: type[LifeboatError], message: str, hint: str) -> LifeboatError:
    error = kind.__new__(kind)
    LifeboatError.__init__(error, message, hint=hint)
    return error


@dataclass(frozen=True)
class Problem:
    """One mistake in a policy or configuration file: ``path`` as ``environments.production.retention``."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"At {self.path!r}: {self.message}" if self.path else self.message


class PolicyError(LifeboatError):
    """The file is wrong. ``problems`` holds every mistake, so that one edit mends them all."""

    exit_code = 3

    def __init__(self, problems: Sequence[Problem], *, where: str = "the policy") -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        super().__init__(f"{where} has {count} {'mistake' if count == 1 else 'mistakes'}:\n{lines}")


class ConfigurationError(LifeboatError):
    exit_code = 3


class Refused(LifeboatError):
    exit_code = 4


class PreflightRefused(Refused):
    pass


class PruneRefused(Refused):
    pass


class RestoreRefused(Refused):
    pass


class SourceError(LifeboatError):
    pass


class SourcesFailed(SourceError):
    """``outcomes`` tells of every source of the run, also of those that are committed."""

    outcomes: Sequence[SourceOutcome] = ()

    def __init__(self, message: str, *, outcomes: Sequence[SourceOutcome], hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.outcomes = tuple(outcomes)


class ProducerFailed(SourceError):
    pass


class SourceUnreachable(SourceError):
    retryable = True


class SourceHostKeyMismatch(SourceError):
    security = True
    exit_code = 6


class SourceDenied(SourceError): ...


class SourceMissing(SourceError): ...


class SnapshotLimitReached(SourceError): ...


# Also what fsspec knows: its own code asks for the built-in ones.
class EntryMissing(SourceError, FileNotFoundError): ...


class EntryExists(SourceError, FileExistsError): ...


class EntryChanged(SourceError): ...


class SealingFailed(LifeboatError): ...


class SpoolFull(LifeboatError): ...


class TimeLimitExceeded(LifeboatError): ...


class Cancelled(LifeboatError):
    exit_code = 130


class SuspectBackup(LifeboatError): ...


class RestoreFailed(LifeboatError):
    """``outcomes`` tells of every object of the restore, also of those that came back; empty for one alone."""

    outcomes: Sequence[RestoreOutcome] = ()

    def __init__(self, message: str, *, outcomes: Sequence[RestoreOutcome] = (), hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.outcomes = tuple(outcomes)


class TargetUnreachable(RestoreFailed):
    retryable = True


class TargetHostKeyMismatch(RestoreFailed):
    security = True
    exit_code = 6


class TargetDenied(RestoreFailed):
    pass


class TargetFull(RestoreFailed):
    pass


class CouldNotMeasure(LifeboatError):
    exit_code = 2
    record: DrillRecord | None = None
    """Of a drill: what it measured all the same."""


class DrillMissed(LifeboatError):
    record: DrillRecord | None = None
    """What the drill measured."""


class AlarmSilent(LifeboatError): ...


class SandboxNotDestroyed(LifeboatError):
    security = True
    exit_code = 6


class StoreError(LifeboatError):
    exit_code = 5


class StoreUnreachable(StoreError):
    retryable = True


class StoreAuthenticationFailed(StoreError):
    pass


class StoreHostKeyMismatch(StoreError):
    security = True
    exit_code = 6


class StoreDenied(StoreError):
    pass


class StoreObjectMissing(StoreError):
    pass


class StoreObjectExists(StoreError):
    pass


class StoreFull(StoreError):
    pass


class StoreProtocolError(StoreError):
    pass


class IntegrityError(LifeboatError):
    security = True
    exit_code = 6


class ChecksumMismatch(IntegrityError):
    pass


class SignatureInvalid(IntegrityError):
    pass


class ChainBroken(IntegrityError):
    pass


class EnvironmentMismatch(IntegrityError):
    pass
