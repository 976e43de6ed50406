"""The node's log: one line of JSON for each thing that happens, without patient identifiers."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import time
from pathlib import Path

from ..errors import ConfigError

_NAME = "qa_fetch"


class JsonLines(logging.Formatter):
    """Makes each record a line that both people and programs read."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname,
            "thread": record.thread,
            "message": record.getMessage(),
        }
        if record.exc_info:
            said["error"] = self.formatException(record.exc_info)
        return json.dumps(said, ensure_ascii=False)


def begin(path: Path) -> logging.Handler:
    """Write the log to a file, which may be rotated from outside; ConfigError where it cannot be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handler: logging.Handler = (
            logging.FileHandler(path, encoding="utf-8")
            if os.name == "nt"
            else logging.handlers.WatchedFileHandler(path, encoding="utf-8")
        )
    except OSError as error:
        raise ConfigError(
            f"the node's log {path} cannot be written ({error.strerror}). "
            "Check that this user may write there, or choose another file."
        ) from error
    handler.setFormatter(JsonLines())
    logger = logging.getLogger(_NAME)
    logger.addHandler(handler)
    if logger.getEffectiveLevel() > logging.INFO:
        logger.setLevel(logging.INFO)
    return handler


def end(handler: logging.Handler) -> None:
    """Close the log."""
    logging.getLogger(_NAME).removeHandler(handler)
    handler.close()
