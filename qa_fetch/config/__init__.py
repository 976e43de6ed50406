"""Where an archive's address comes from, and from which layer.

Arguments, then ``QA_FETCH_*`` environment variables, then ``qa_fetch.toml``, then Django's settings. The first layer
that defines an archive wins whole; arguments then override single fields.
"""

from __future__ import annotations

from ..errors import ConfigError
from .addresses import inline_name, parse_address
from .layers import ArchiveConfig, Config, Setting
from .options import KINDS, LOCAL, SHELF, plugin_kinds
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
    "default_shelf",
    "find_file",
    "inline_name",
    "parse_address",
    "plugin_kinds",
    "user_config_folder",
]
