"""Errors of starting the parts on this machine.

    SetupError                the message says what is wrong and, where there is a way, what to do
    ├── AddressError          an address cannot be listened on
    ├── EngineConfigError     the model cannot be served as its manifest says
    ├── MissingProgramError   a program that is needed is not installed
    └── RunFolderInUseError   another run has this folder

Later failures are a `supervisor.ServiceError`; a manifest's errors are `manifest.ManifestError`.
"""

from __future__ import annotations


class SetupError(Exception):
    """The parts cannot be started; nothing has been."""


class AddressError(SetupError):
    """An address cannot be listened on."""


class EngineConfigError(SetupError):
    """The model cannot be served as its manifest says."""


class MissingProgramError(SetupError):
    """A program that is needed is not installed."""


class RunFolderInUseError(SetupError):
    """Another run has this folder."""
