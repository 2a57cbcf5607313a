"""Score stored calls again with the release that serves now. The old result stays; the new one is added to the record.

After an interruption the same command continues: it skips calls with a result of this model and these parameters.
"""

from __future__ import annotations

from frontend.cli.rescoring import Rescoring, since_moment
from frontend.configuration.settings import Settings
from frontend.domain.records import CallRecord
from frontend.rollout.candidate import release_of
from frontend.services import Services, open_foundation


async def backfill(settings: Settings, since: str, limit: int | None) -> int:
    """Run the command and return its exit code. Raises: SettingsError, ConfigError; StoreUnavailable, NotReady."""
    from_moment = since_moment(since)
    worker_count = settings.tuning.worker_count
    services = Services(open_foundation(settings), worker_count=worker_count)
    try:
        await services.start()
        model, release = services.model.contract().model, release_of(services.model.contract())

        def is_scored(record: CallRecord) -> bool:
            # What a rollout's candidate said beside an answer is not a result of this call.
            results = [record.diagnosis or {}, *(item["diagnosis"] for item in record.history if "role" not in item)]
            return any(release.made(result) for result in results if result)

        work = Rescoring("backfill", services.stores, services.limits, services.diagnoser.diagnose, is_scored)
        found = await work.run(from_moment, limit, at_once=2 * worker_count)
        print(
            f"{found.scored} calls scored by {model.name} {model.version}, {found.before} had been before, "
            f"{found.in_words}"
        )
        return 0 if found.whole else 1
    finally:
        await services.close()
