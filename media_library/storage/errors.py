"""What can go wrong with a storage, told apart (LIB-10). Every backend raises these and nothing else."""

from __future__ import annotations


class StorageError(Exception):
    """The storage did not do what was asked. `explain()` says it to people."""

    meaning = "The storage failed."

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail or self.meaning)
        self.detail = detail

    def explain(self) -> str:
        return f"{self.meaning} ({self.detail})" if self.detail else self.meaning


class StorageUnreachable(StorageError):
    """No answer, an answer too late, or a disk that is full or broken. Worth another try."""

    meaning = "The storage does not answer."


class StorageRefused(StorageError):
    """Our credentials or rights do not allow it."""

    meaning = "The storage refuses our access."


class NoSuchBucket(StorageError):
    """The bucket, zone or directory that holds everything is not there."""

    meaning = "The storage's bucket or directory does not exist."


class NoSuchObject(StorageError):
    """That one file is not there."""

    meaning = "The storage does not have this file."
