"""Errors of queue and worker; the tree goes on from `aidetect._errors`.

AidetectError
├── BusyError                 too much waits already
│   ├── QueueFullError        too many checks
│   └── UploadsFullError      too many bytes
└── InputError
    └── UploadGoneError       uploaded bytes expired, or cannot be decrypted, before they were checked
"""

from aidetect import AidetectError, InputError


class BusyError(AidetectError):
    code = "busy"
    retryable = True


class QueueFullError(BusyError):
    code = "queue_full"


class UploadsFullError(BusyError):
    code = "uploads_full"


class UploadGoneError(InputError):
    """Sending the image again helps, asking for the same check again does not."""

    code = "upload_gone"
