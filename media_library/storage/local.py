from django.core.files.storage import FileSystemStorage


class LocalMediaStorage(FileSystemStorage):
    """Files on the control plane's own disk."""
