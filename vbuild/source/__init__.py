"""Where videos come from: a source listed, the files of a listing digested, and what is out of reach remembered."""

from vbuild.source.identity import Identified, grown, identify
from vbuild.source.lists import as_text
from vbuild.source.recall import recall
from vbuild.source.walk import Listing, list_videos, survey

__all__ = ["Identified", "Listing", "as_text", "grown", "identify", "list_videos", "recall", "survey"]
