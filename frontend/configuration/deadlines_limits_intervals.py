"""An operator's settings: unit, meaning, bounds and option of each; the defaults are in config.yml only.

Keep imports minimal: `--help` shows this table, and the server's start must not wait for it.
"""

from __future__ import annotations

from dataclasses import dataclass

CONFIG_VARIABLE = "TOSIA_CONFIG"
FOR_EACH_CORE = 0  # workers


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    unit: empty for a plain number; least, most: the bounds, inclusive; option: on the command line, where it has one
    also: other places that must be changed together with it on AKS
    """

    meaning: str
    unit: str = ""
    least: float | None = None
    most: float | None = None
    option: str = ""
    also: str = ""


SETTINGS = {
    "quality.min_duration_s": Setting("a shorter recording is poor: too_short", "s", 0.0),
    "quality.silent_peak_dbfs": Setting("a recording whose peak stays below is poor: silent", "dBFS", most=0.0),
    "quality.max_clipped_fraction": Setting("more samples at full scale are poor: clipped", "", 0.0, 1.0),
    "quality.min_snr_db": Setting("a lower signal-to-noise ratio is poor: low_snr", "dB"),
    "quality.min_snr_without_candidates_db": Setting("the same where nothing was taken for a cough: low_snr", "dB"),
    "quality.min_bandwidth_hz": Setting("a narrower band is poor: narrowband", "Hz", 0.0),
    "quality.max_dropout_fraction": Setting("more of it lost on the way is poor: dropouts", "", 0.0, 1.0),
    "quality.max_hum_db": Setting("louder hum, relative to the loud moments, may hide a cough: hum", "dB"),
    "quality.max_tone_fraction": Setting("tones for more of the time may hide a cough: tone", "", 0.0, 1.0),
    "limits.max_body_bytes": Setting(
        "the largest recording", "bytes", 1024, also="the body size of the ingress (k8s/manifests/components/nginx)"
    ),
    "limits.max_duration_s": Setting("the longest recording", "s", 1.0, also="the memory of the pods"),
    "limits.min_sample_rate_hz": Setting("the lowest sample rate", "Hz", 1),
    "limits.max_sample_rate_hz": Setting("the highest sample rate", "Hz", 1),
    "limits.max_channels": Setting("channels of a recording", "", 1),
    "limits.min_coughs": Setting("fewer coughs in the best channel are too_few_coughs", "", 1),
    "limits.request_deadline_s": Setting(
        "after it a stored call is answered 202 and finished later",
        "s",
        0.1,
        also="terminationGracePeriodSeconds and the timeout of the way in (k8s/manifests/components)",
    ),
    "limits.worker_timeout_s": Setting("after it a worker that hangs on a recording is ended", "s", 0.1),
    "limits.worker_cpu_s": Setting("CPU time that a worker may use for one recording", "s", 0.1),
    "limits.worker_memory_bytes": Setting(
        "memory that a worker may take, more than an idle one has", "bytes", 64 * 2**20, also="the memory of the pods"
    ),
    "limits.max_in_flight": Setting("recordings in work at once; more are refused before they are read", "", 1),
    "limits.max_in_flight_bytes": Setting(
        "bodies and answers in memory at once", "bytes", 1024, also="the memory of the pods"
    ),
    "limits.max_key_share": Setting(
        "a key with more of the places or memory gives way to other keys", "", 0.0, 1.0
    ),
    "limits.max_wait_s": Setting("a recording that would wait longer for a worker is refused", "s", 0.0),
    "limits.always_per_worker": Setting(
        "but not below so many in work for each worker, up to half of max_in_flight", "", 0
    ),
    "limits.retention_days": Setting(
        "calls are forgotten after it, and so are the tombstones of erased ones",
        "days",
        1,
        also="the lifecycle policy of the storage account (k8s/manifests/azure)",
    ),
    "service.workers": Setting(
        "processes for decoding; 0: one for each core that this process may use",
        "",
        FOR_EACH_CORE,
        option="--workers",
        also="the cores and the memory of the pods",
    ),
    "service.drain_seconds": Setting(
        "time to go on answering after SIGTERM, with /readyz at 503",
        "s",
        0.0,
        option="--drain-seconds",
        also="terminationGracePeriodSeconds",
    ),
    "service.end_grace_s": Setting(
        "what requests in work get at the end on top of request_deadline_s",
        "s",
        0.0,
        also="terminationGracePeriodSeconds",
    ),
    "service.keep_alive_s": Setting("how long an idle connection is kept; longer than the proxy in front does", "s", 1),
    "service.sweep_every_s": Setting("the pause between two sweeps", "s", 0.1),
    "service.sweep_rest_factor": Setting("but at least so many times as long as the sweep took", "", 0.0),
    "service.orphan_age_s": Setting("audio without a record is removed when it is older", "s", 60.0),
    "service.stuck_after_s": Setting(
        "/healthz fails when work waits for workers and none has ended for so long", "s", 1.0
    ),
    "service.reconcile_every_s": Setting("how often a replica looks for calls that are due", "s", 0.01),
    "rollout.min_calls": Setting("a canary is judged by so many calls at least", "", 1),
    "rollout.false_stops": Setting(
        "how likely a canary within a bound is ever stopped for it, by each replica", "", 1e-9, 0.5
    ),
    "rollout.max_flip_share": Setting("calls whose status or label may differ", "", 0.0, 1.0),
    "rollout.score_tolerance": Setting("a score that moves by more is a shift", "", 0.0, 1.0),
    "rollout.max_shift_share": Setting("calls with a shift that are allowed", "", 0.0, 1.0),
    "rollout.max_failure_share": Setting("calls that the candidate may leave to the serving release", "", 0.0, 1.0),
    "rollout.slow_factor": Setting("an inference is slow that takes so many times the serving release's", "", 1.0),
    "rollout.slow_floor_ms": Setting("and so much more", "ms", 0.0),
    "rollout.max_slow_share": Setting("slow inferences that are allowed", "", 0.0, 1.0),
    "rollout.candidate_timeout_s": Setting(
        "after it the serving release answers in the candidate's place", "s", 0.01
    ),
    "rollout.backlog_calls": Setting("answered calls that wait for the other release; more are dropped", "", 1),
    "rollout.backlog_bytes": Setting("and bytes of them", "bytes", 1024, also="the memory of the pods"),
    "rollout.poll_s": Setting("how often a replica looks for a step of a rollout", "s", 0.01),
    "intake.visibility_s": Setting("a message in work is hidden for so long", "s", 2, 604800),
    "intake.poll_s": Setting("time between two looks into an empty intake queue", "s", 0.01),
    "intake.max_failures": Setting("then a message goes to the poison queue", "", 1),
    "intake.retry_pause_s": Setting("before a message is tried again; doubles each time", "s", 0.0, 60.0),
    "callbacks.timeout_s": Setting("a receiver may take so long for one message", "s", 0.1, 60.0),
    "callbacks.give_up_after_s": Setting("then a message is given up", "s", 0.0),
    "callbacks.at_once": Setting("messages to one receiver at once", "", 1, 100),
    "callbacks.poll_s": Setting("time between two looks for messages that are due", "s", 0.01),
}  # fmt: skip
SECTIONS = tuple(dict.fromkeys(name.partition(".")[0] for name in SETTINGS))
OF_THE_MODEL = ("segmentation", "mel_spec", "color_spec")


def variable_of(setting: str) -> str:
    """Return a setting's environment variable: TOSIA_LIMITS__MAX_WAIT_S for `limits.max_wait_s`."""
    return f"TOSIA_{setting.replace('.', '__')}".upper()


SETTING_OF = {variable_of(name): name for name in SETTINGS}
