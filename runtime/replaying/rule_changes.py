"""Changed rules of the signal path and their versions, so that a replay of an older record can name them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A changed rule.

    since: the first software version with the new rule; fields: of a diagnosis, may change; what: one clause
    """

    since: str
    fields: frozenset[str]
    what: str


RULE_CHANGES = (
    RuleChange(
        since="0.2.0",
        fields=frozenset({"spectrogram_sha256", "audio.bandwidth_hz"}),
        what="a level is found by comparing power with constants, and the tables of window and filters are rounded "
        "to a grid; "
        "before, a logarithm was rounded, whose last bits depend on the processor, so a level may lie one higher or "
        "lower. "
        "Of equally loud frames the bandwidth now takes the same ones everywhere",
    ),
    RuleChange(
        since="0.3.0",
        fields=frozenset(
            {
                "status",
                "reasons",
                "result",
                "segments",
                "spectrogram_sha256",
                "audio.duration_s",
                "audio.codec",
                "audio.sample_rate_hz",
                "audio.channels",
                "audio.channel",
                "audio.snr_db",
                "audio.clipped_fraction",
                "audio.bandwidth_hz",
            }
        ),
        what="decoding hears the whole file (joined files, gaps in time stamps, wrong lengths in headers); Ogg Opus is "
        "decoded at 16 kHz by libopus, MP3 by FFmpeg, AMR-WB by OpenCORE; a codec has one name",
    ),
    RuleChange(
        since="0.4.0",
        fields=frozenset(
            {
                "status",
                "reasons",
                "result",
                "segments",
                "spectrogram_sha256",
                "audio.channel",
                "audio.snr_db",
                "audio.bandwidth_hz",
            }
        ),
        what="candidates are found by the level of the middle ones of ten bands instead of the RMS, so that a beep or "
        "hum hides no cough; SNR is the ratio of these levels and known without candidates; bandwidth is measured up "
        "to 4 kHz; what can't be heard is `poor_quality` with `hum`, `tone` or `low_snr`; a likely candidate below the "
        "threshold makes `uncertain_cough`",
    ),
)


def changed_since(version: str) -> tuple[RuleChange, ...]:
    """Return the rules that changed after that software version; none where the version can't be read."""
    made_by = _number(version)
    return tuple(
        rule_change
        for rule_change in RULE_CHANGES
        if made_by is not None and made_by < (_number(rule_change.since) or ())
    )


def _number(version: str) -> tuple[int, ...] | None:
    parts = version.split(".")
    numeric = all(part.isascii() and part.isdigit() and len(part) < 10 for part in parts)
    return tuple(map(int, parts)) if numeric else None
