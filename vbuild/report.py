"""What a plan or a build found and did, as plain data: the summary, the run's record and the tests read it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StageCount:
    """What one instance of a stage had to do."""

    name: str
    hits: int = 0
    """Videos or clips whose result was in the store, or came of an action that another of them asked for."""
    fetched: int = 0
    """Results of these that came from the remote cache."""
    ran: int = 0
    """Actions that ran (in a plan: that would run)."""
    failed: int = 0
    """Videos or clips whose action failed now or, not tried again, before."""
    unknown: int = 0
    """In a plan: actions that may be wanted, behind a decision or a split that is not known yet."""
    seconds: float = 0.0
    """Worker seconds spent (in a plan: expected, by recorded seconds)."""
    saved: float = 0.0
    """Worker seconds that the hits once cost."""
    reasons: dict[str, int] = field(default_factory=dict)
    """Why actions missed: `new input`, `crf 23 → 28`, `new version 1 → 2`, `first build`, …; with how many."""
    of_videos: bool = False
    """It counts videos; else clips."""
    unsplit: int = 0
    """In a plan: videos whose clips are not known yet; any number of their clips may be wanted."""
    recorded: bool = False
    """In a plan: whether there is a record of what the stage's actions cost."""
    bytes: int = 0
    """In a plan: bytes of blobs that are expected."""
    seconds_more: float = 0.0
    """In a plan: as `seconds`, of the actions that are unknown."""
    bytes_more: int = 0


@dataclass
class Decided:
    """What a decision dropped, or where it put clips."""

    name: str
    dropped: int = 0
    unknown: int = 0
    places: dict[str, int] | None = None
    """Of one that puts each clip somewhere, and drops none: the place → how many kept clips came there."""
    new: int = 0
    """Of a dedup: vectors that were compared (in a plan: that would be) with one another and with those known."""
    known: int = 0
    """Vectors that had been compared before, by whatever dataset."""
    hashes: bool = False
    """Whether these are no vectors but the hashes of clips' frames."""


@dataclass(frozen=True)
class First:
    """The first of the failures of one stage by one class of error."""

    stage: str
    error: str
    count: int
    kind: str
    message: str
    uri: str
    start_s: float | None
    """Of a clip, in seconds."""
    end_s: float | None


@dataclass
class Report:
    """One plan or build."""

    dataset: str
    folder: str
    """The LanceDB database."""
    build: str | None = None
    """The build's id; None for a plan and for an up-to-date dataset."""
    up_to_date: bool = False
    """No action ran and no table changed."""
    stale: bool = False
    """In a plan without actions: the tables may have to be written anew, for the configuration, the source or the
    tables are not as the last build left them."""
    stages: list[StageCount] = field(default_factory=list)
    """In the order in which they stand, probe and split first."""
    decisions: list[Decided] = field(default_factory=list)
    videos: int = 0
    videos_unsplit: int = 0
    """In a plan: videos whose clips are not known yet."""
    videos_failed: int = 0
    clips: int = 0
    kept: int = 0
    failures: int = 0
    actions: int = 0
    """Actions that have a result, or failed."""
    away: dict[str, str] = field(default_factory=dict)
    """Video that the last build could read and this one could not → why; what is known of it is kept."""
    wrong: list[str] = field(default_factory=list)
    """What makes this a build that failed, a line each; none where a few clips or videos failed among many."""
    firsts: list[First] = field(default_factory=list)
    """The first failure of each kind."""
    seconds: float = 0.0
    """Wall seconds."""
    notes: list[str] = field(default_factory=list)
    """What a person should know once."""
    tables: dict[str, int] = field(default_factory=dict)
    """Table → version after the build."""
    captioned: bool = False
    """Whether clips have captions, which words are looked for in."""
    changed: dict[str, dict[str, int]] = field(default_factory=dict)
    """Table → rows added, updated, deleted."""


@dataclass(frozen=True)
class Progress:
    """Said while a build runs, whenever results come in."""

    stage: str
    done: int
    """Actions of the stage that ran so far."""
    failed: int
    known: int
    """Actions of the stage that are known to be wanted so far."""
    oldest: str = ""
    """Of the videos that are at work the one that has been so longest."""
