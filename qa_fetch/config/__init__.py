"""Where an archive's address comes from, and from which layer.

Arguments, then ``QA_FETCH_*`` environment variables, then ``qa_fetch.toml``, then Django's settings. The first layer
that defines an archive wins whole; arguments then override single fields.
"""

from __future__ import annotations

from ..errors import ConfigError
from .addresses import inline_name, parse_address
from .layer import ArchiveConfig, Setting
from .layers import Config
from .options import KINDS, LOCAL, SHELF, plugin_kinds
from .qatrack import TestList, Unit
from .sources import FILE_NAME, default_shelf, find_file, user_config_folder

__all__ = [
    "FILE_NAME",
    "KINDS",
    "LOCAL",
    "SHELF",
    "ArchiveConfig",
    "Config",
    "ConfigError",
    "Setting",
    "TestList",
    "Unit",
    "default_shelf",
    "find_file",
    "inline_name",
    "parse_address",
    "plugin_kinds",
    "user_config_folder",
]
