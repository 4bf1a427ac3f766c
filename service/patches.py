"""All that is changed in Bokeh, Panel, Param and Python itself, in one table, and putting it in.

The table is data: what a patch replaces, for which versions that was read, why, and the test that fails when
it goes wrong. ``docs/versions.md`` is made of it. The replacements themselves are in ``service.apps``,
``service.documents`` and ``service.lines``, the only packages that may assign attributes of imported things.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from service import logs
from service.apps import (
    forked,
    import_hooks,
    jupyter_widgets,
    panel,
    panel_cache,
    panel_settings,
    panel_shortcuts,
    panel_styles,
    panel_tasks,
    panel_user,
    param_shortcuts,
    parameter_flags,
    process_state,
    threads,
    working_folder,
)
from service.documents import (
    classes,
    curdoc,
    half_imported,
    ids,
    scheduling,
    shortcuts,
    signatures,
    unpacking,
    wiring,
)  # fmt: skip

__all__ = ("PATCHES", "Patch", "install_patches")

_BOKEH = "bokeh 3.9, 3.10"
_PANEL = "panel 1.9, 1.10"


@dataclass(frozen=True, slots=True)
class Patch:
    """What one module replaces."""

    module: object
    """Where the replacements are; its docstring says more."""
    targets: tuple[str, ...]
    """Dotted names of what is replaced."""
    versions: str
    """Of the releases whose code was read for it."""
    why: str
    test: str
    """Within ``tests/``."""
    install: Callable[[], object] | None = None
    """Called in each server. None: put in later, as ``when`` says."""
    when: str = "always"


PATCHES: tuple[Patch, ...] = (
    Patch(
        ids,
        ("bokeh.model.model.make_id", "bokeh.model.Model.__new__"),
        _BOKEH,
        "The same app code gives models the same ids on any replica",
        "unit/documents/test_ids.py",
        ids.install,
    ),
    Patch(
        threads,
        ("threading.Thread.start", "concurrent.futures.ThreadPoolExecutor.submit"),
        "Python 3.11 to 3.14",
        "Threads of an app make models for its session and import its modules",
        "unit/apps/test_threads.py",
        threads.install,
    ),
    Patch(
        jupyter_widgets,
        (
            "ipywidgets.widgets.widget._instances",
            "panel.io.ipywidget._IPyComm",
            "panel.io.ipywidget.IPyWidget.__init__",
            "panel.io.ipywidget.IPyWidget.__css__",
        ),
        f"ipywidgets 8, {_PANEL}",
        "ipywidgets of Panel apps go on after a move, and are kept apart by session",
        "chaos/test_jupyter_widgets_move.py",
        jupyter_widgets.install,
        "when it is imported",
    ),
    Patch(
        panel_shortcuts,
        (
            "panel.config._config.__getattribute__",
            "panel.io.resources.extension_declared",
            "panel.io.resources.Resources._collect_external_resources",
            "panel.io.resource_spec._has_resources",
            "panel.io.resource_spec._resource_classes",
            "panel.io.state._state._indicators",
        ),
        f"{_PANEL}, by digest",
        "Shorter ways to what Panel looks up thousands of times for each page; busy indicators per session",
        "unit/apps/test_panel_shortcuts.py",
        panel_shortcuts.install,
        "when it is imported",
    ),
    Patch(
        param_shortcuts,
        (
            "param.parameterized.Parameters._update",
            "param.parameterized.Parameters.trigger",
            "param.parameterized.Parameters._instantiate_param",
            "param.parameterized.Parameter.__setattr__",
            "param.parameterized._instantiate_param_obj",
            "param.parameters.Number.__get__",
            "param.parameters.Path._resolve",
            "param.parameters.Filename._resolve",
            "param.parameters.Foldername._resolve",
        ),
        "param 2.4.0 to 2.4.2, by digest",
        "Shorter ways to the same results, in groups that are off where param has changed a function",
        "unit/apps/test_param_shortcuts.py",
        param_shortcuts.install,
        "when it is imported",
    ),
    Patch(
        panel_styles,
        ("panel.io.resources.patch_stylesheet",),
        _PANEL,
        "Style sheets of Panel's designs come from this server",
        "browser/test_files_of_other_hosts.py",
        panel_styles.install,
        "when it is imported",
    ),
    Patch(
        panel_tasks,
        ("panel.io.state._state.schedule_task", "panel.io.state._state.cancel_task"),
        _PANEL,
        "One replica at a time runs what `pn.state.schedule_task` has",
        "fleet/test_panel_tasks.py",
        panel_tasks.install,
        "when it is imported",
    ),
    Patch(
        panel_user,
        ("panel.io.state._state.user",),
        _PANEL,
        "`pn.state.user` is who was let in, whoever did that",
        "unit/apps/test_panel_user.py",
        panel_user.install,
        "when it is imported",
    ),
    Patch(
        parameter_flags,
        ("param.parameterized.edit_constant", "panel.util.parameters.edit_readonly"),
        f"param 2, {_PANEL}",
        "Several threads change constant and read-only parameters at once",
        "unit/apps/test_parameter_flags.py",
        parameter_flags.install,
        "when it is imported",
    ),
    Patch(
        curdoc,
        ("bokeh.io.doc._PATCHED_CURDOCS",),
        "bokeh 3.9",
        "`curdoc()` per context instead of per process (Bokeh 3.10 has that itself)",
        "unit/documents/test_curdoc.py",
        curdoc.install,
        "with Bokeh 3.9",
    ),
    Patch(
        scheduling,
        ("bokeh.document.callbacks.DocumentCallbackManager.trigger_on_change",),
        _BOKEH,
        "Session callbacks are scheduled at once, also while changes are held back",
        "unit/documents/test_scheduling.py",
        scheduling.install,
    ),
    Patch(
        classes,
        ("bokeh.application.handlers.code_runner.make_globally_unique_id",),
        _BOKEH,
        "Model classes of apps have one name on all replicas, and are forgotten with their session",
        "apps/test_custom_models.py",
        classes.install,
    ),
    Patch(
        unpacking,
        ("bokeh.core.serialization.Deserializer._decode_bytes",),
        _BOKEH,
        "Bounds on what compressed data in a message becomes",
        "protocol/test_bad_frames.py",
        unpacking.install,
    ),
    Patch(
        forked,
        ("os.fork", "os.forkpty"),
        "Python 3.11 to 3.14",
        "A process that app code forks ends with that code",
        "apps/test_child_processes.py",
        forked.install,
        "in the child (`os.register_at_fork`)",
    ),
    Patch(
        half_imported,
        ("bokeh.models.ColumnDataSource._stream",),
        _BOKEH,
        "Streaming waits until another thread has imported pandas",
        "unit/documents/test_half_imported.py",
        half_imported.install,
    ),
    Patch(
        shortcuts,
        shortcuts.replaced(),
        f"{_BOKEH}, by digest",
        "Shorter ways to the same results, in groups that are off where Bokeh has changed a function",
        "unit/documents/test_shortcuts.py",
        shortcuts.install,
    ),
    Patch(
        wiring,
        (
            "bokeh.util.callback_manager.PropertyCallbackManager.on_change",
            "bokeh.util.callback_manager.PropertyCallbackManager.remove_on_change",
            "bokeh.util.callback_manager.EventCallbackManager.on_event",
        ),
        _BOKEH,
        "Callbacks added at run time are known, so that a move can tell which it could not bring back",
        "unit/documents/test_wiring.py",
        wiring.install,
    ),
    Patch(
        logs,
        (),
        f"{_BOKEH}, {_PANEL}",
        "A filter of their loggers: what fails in a session is logged with its traceback once",
        "apps/test_logs_of_apps.py",
        logs.log_failures_once,
    ),
    Patch(
        process_state,
        (
            "sys.argv",
            "sys.path",
            "bokeh.io",
            "panel.io.state._state._document",
            "bokeh.application.handlers.code_runner.CodeRunner._failed",
            "bokeh.application.handlers.handler.Handler._failed",
            "bokeh.application.handlers.code_runner._PROCESS_GLOBALS_LOCK",
            "bokeh.core.property.bases.Property._should_validate",
        ),
        f"{_BOKEH}, {_PANEL}",
        "What a run of an app changes in the process is kept to that run, so that apps run at once",
        "unit/apps/test_runs_at_once.py",
        when="before the first run of an app",
    ),
    Patch(
        working_folder,
        ("os.chdir", "os.fchdir"),
        "Python 3.11 to 3.14",
        "A run of an app has a working folder of its own",
        "unit/apps/test_runs_at_once.py",
        when="before the first run of an app",
    ),
    Patch(
        import_hooks,
        ("builtins.__import__", "importlib._bootstrap._gcd_import", "sys.meta_path"),
        "Python 3.11 to 3.14",
        "Apps in directories have modules of the same names beside each other",
        "unit/apps/test_imports.py",
        when="from the first app with a directory on",
    ),
    Patch(
        panel,
        ("panel.io.callbacks.PeriodicCallback.start",),
        _PANEL,
        "Timers of Panel's that belong to no session begin on the event loop, whichever thread starts them",
        "apps/test_panel_idle.py",
        when="when it is imported",
    ),
    Patch(
        panel_cache,
        ("panel.io.cache.cache", "panel.io.state._state.as_cached"),
        _PANEL,
        "`pn.cache` and `pn.state.as_cached` once for the fleet",
        "fleet/test_panel_cache.py",
        when="with `--panel-cache fleet`",
    ),
    Patch(
        signatures,
        ("bokeh.model.Model.__init_subclass__",),
        f"{_BOKEH}, by digest",
        "Signatures of model classes are made when somebody asks for them, so that a server is ready sooner",
        "unit/documents/test_signatures.py",
        when="while `svc serve` imports Bokeh",
    ),
    Patch(
        panel_settings,
        ("panel.io.profile.profile_ctx",),
        _PANEL,
        "One profile at a time, as Python has one profiler per process",
        "apps/test_panel_flags.py",
        when="with `--profiler`",
    ),
)
"""In the order in which they are put in."""


def install_patches() -> None:
    """Put in what each server needs; ``PATCHES`` says what else there is. Idempotent."""
    for patch in PATCHES:
        if patch.install is not None:
            patch.install()
