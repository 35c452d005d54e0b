"""The verbs of the library. Pages, admin, commands and the scheduler all call these."""

from media_library.actions.deletion import delete, delete_many, delete_stored, retry_deletions
from media_library.actions.editing import refresh, reload_facts, rename
from media_library.actions.links import download_url
from media_library.actions.processing import give_up, process, requeue_stuck
from media_library.actions.uploading import cancel_upload, create_upload, expire_uploads, offset_of, receive

__all__ = [
    "cancel_upload",
    "create_upload",
    "delete",
    "delete_many",
    "delete_stored",
    "download_url",
    "expire_uploads",
    "give_up",
    "offset_of",
    "process",
    "receive",
    "refresh",
    "reload_facts",
    "rename",
    "requeue_stuck",
    "retry_deletions",
]
