"""Options: what is served besides apps, and what Panel's pages are told."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from service.options import boolean, choice, integer, option, text
from service.settings import values

__all__ = ("PageSettings",)


@dataclass(frozen=True, kw_only=True)
class PageSettings:
    """What is served besides apps, and what Panel's pages are told."""

    index: str | None = option(
        "--index",
        values.index_page,
        "A template for the page at the root, or the app that is served there, too",
        metavar="FILE|APP",
        env=("SVC_INDEX",),
    )
    index_titles: tuple[tuple[str, str], ...] = option(
        "--index-titles",
        values.pair,
        "What the page at the root calls the apps, as /path=title (Panel's)",
        "",
        metavar="PATH=TITLE",
        arity="some",
        env=("SVC_INDEX_TITLES",),
    )
    disable_index: bool = option(
        "--disable-index",
        boolean,
        "No page at the root that lists the apps",
        "false",
        arity="switch",
        env=("SVC_DISABLE_INDEX",),
    )
    disable_index_redirect: bool = option(
        "--disable-index-redirect",
        boolean,
        "Do not redirect from the root to the app when there is just one",
        "false",
        arity="switch",
        env=("SVC_DISABLE_INDEX_REDIRECT",),
    )
    ico_path: str = option(
        "--ico-path",
        values.icon,
        "The favicon: an .ico file, 'default' for Bokeh's, or 'none'",
        "default",
        metavar="FILE",
        env=("SVC_ICO_PATH", "BOKEH_ICO_PATH"),
        yaml="ico_path",
    )
    static_dirs: tuple[tuple[str, str], ...] = option(
        "--static-dirs",
        values.static_dir,
        "Directories whose files are served, as path=directory; users have to be logged in (Panel's)",
        "",
        metavar="PATH=DIRECTORY",
        arity="some",
        env=("SVC_STATIC_DIRS",),
    )
    plugins: tuple[str, ...] = option(
        "--plugins",
        text,
        "A module whose ROUTES are added to the server's own, as Tornado has them (Panel's)",
        "",
        metavar="MODULE",
        arity="repeat",
        env=("SVC_PLUGINS",),
    )
    setup: str | None = option(
        "--setup",
        values.existing_file,
        "A script that each process runs before it loads its apps (Panel's)",
        metavar="FILE",
        env=("SVC_SETUP",),
    )
    warm: bool = option(
        "--warm",
        boolean,
        "Run each app once before the server is ready (Panel's)",
        "false",
        arity="switch",
        env=("SVC_WARM",),
    )
    liveness: bool = option(
        "--liveness",
        boolean,
        "Answer at /liveness, too, that the process is alive (Panel's); /healthz always does",
        "false",
        arity="switch",
        env=("SVC_LIVENESS",),
    )
    liveness_endpoint: str = option(
        "--liveness-endpoint",
        text,
        "Where --liveness answers",
        "liveness",
        metavar="PATH",
        env=("SVC_LIVENESS_ENDPOINT",),
    )
    rest_session_info: bool = option(
        "--rest-session-info",
        boolean,
        "Answer at /session_info with the sessions of all replicas as JSON (Panel's)",
        "false",
        arity="switch",
        env=("SVC_REST_SESSION_INFO",),
    )
    session_history: int = option(
        "--session-history",
        integer(-1),
        "How many sessions each replica remembers for /session_info and pn.state.session_info (Panel's); "
        "-1 for all, 0 for none",
        "0",
        metavar="COUNT",
        env=("SVC_SESSION_HISTORY",),
    )
    global_loading_spinner: bool = option(
        "--global-loading-spinner",
        boolean,
        "Panel's pages show its spinner until they are drawn",
        "false",
        arity="switch",
        env=("SVC_GLOBAL_LOADING_SPINNER",),
    )
    page_config: str | None = option(
        "--page-config",
        values.page_config,
        "Theme, logo and title of Panel's own pages, as JSON or a file of JSON (Panel 1.10)",
        metavar="JSON|FILE",
        env=("SVC_PAGE_CONFIG", "PANEL_PAGE_CONFIG"),
    )
    root_path: str | None = option(
        "--root-path",
        values.slashed_path,
        "The path that a proxy takes away before it passes requests on, for pn.state.base_url outside of "
        "sessions (Panel's); links are relative and need none",
        metavar="PATH",
        env=("SVC_ROOT_PATH",),
    )
    reuse_sessions: str = option(
        "--reuse-sessions",
        values.reuse_mode,
        "Send the page that Panel has drawn of an app once to its next visitors, too (Panel's): the app runs "
        "when their WebSockets come, or with warm as soon as the page is sent",
        "off",
        metavar="warm",
        arity="maybe",
        env=("SVC_REUSE_SESSIONS",),
    )
    profiler: str | None = option(
        "--profiler",
        choice("pyinstrument", "snakeviz", "memray"),
        "How Panel apps are profiled (Panel's); its own admin page, at panel below the admin page, shows it",
        metavar="NAME",
        env=("SVC_PROFILER",),
    )
    panel_tasks: str = option(
        "--panel-tasks",
        choice("fleet", "replica"),
        "Who runs what pn.state.schedule_task has: one replica of the fleet at a time, or each",
        "fleet",
        metavar="WHO",
        env=("SVC_PANEL_TASKS",),
    )
    panel_cache: str = option(
        "--panel-cache",
        choice("replica", "fleet"),
        "Where pn.cache and pn.state.as_cached keep data: in each replica, or once for the fleet",
        "replica",
        metavar="WHERE",
        env=("SVC_PANEL_CACHE",),
    )

    @property
    def root_app(self) -> str | None:
        """The app that ``index`` names, where it names no template."""
        return self.index if self.index and Path(self.index).suffix.lower() in values.APP_SUFFIXES else None
