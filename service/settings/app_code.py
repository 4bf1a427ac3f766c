"""Options: how much of apps' code and jobs runs at once."""

from __future__ import annotations

from dataclasses import dataclass

from service.options import integer, option

__all__ = ("AppCodeSettings",)


@dataclass(frozen=True, kw_only=True)
class AppCodeSettings:
    """How much of apps' code and jobs runs at once."""

    app_threads: int = option(
        "--app-threads",
        integer(0, 1024),
        "Threads of each process that app code runs on, so that slow code keeps no other session waiting; "
        "0 runs all of it on the event loop",
        "16",
        metavar="N",
        env=("SVC_APP_THREADS",),
    )
    jobs: int = option(
        "--jobs",
        integer(0, 1024),
        "Jobs of apps (fleet.submit) that this process runs at once; 0 leaves all of them to svc worker",
        "1",
        metavar="N",
        env=("SVC_JOBS",),
    )
    num_threads: int | None = option(
        "--num-threads",
        integer(0, 1024),
        "As of panel serve: Panel runs callbacks of one session side by side, on the threads of "
        "--app-threads, of which there are so many then (0 leaves it at those)",
        metavar="N",
        env=("SVC_NUM_THREADS", "PANEL_NUM_THREADS"),
    )
