"""One file for each format of others, and the table of them. base.py says what a reader owes."""

from __future__ import annotations

from collections.abc import Mapping

from data.readers import llava_json, scicap, scicap_challenge, scicap_plus, scigraphqa, synthetic
from data.readers.base import Reader, Source

READERS: Mapping[str, Reader] = {
    module.READER.name: module.READER
    for module in (llava_json, scicap, scicap_challenge, scicap_plus, scigraphqa, synthetic)
}

__all__ = ["READERS", "Reader", "Source"]
