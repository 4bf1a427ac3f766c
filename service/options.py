"""How an option becomes a value: one :class:`Option` per option, read from flag, environment
variable or configuration file. What options there are is ``service.settings``' business.

Every source is turned into text (or a list of texts) first and goes through the same parser, so
a bad value is refused in the same words wherever it came from.
"""

from __future__ import annotations

import argparse
import dataclasses
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import yaml

from service.errors import ConfigError

__all__ = (
    "Checked",
    "Option",
    "TakesArguments",
    "add_options",
    "boolean",
    "choice",
    "from_yaml",
    "integer",
    "lookup",
    "number",
    "option",
    "read_toml",
    "read_yaml",
    "text",
)

Parse = Callable[[str], Any]
"""Text to value; raises ValueError with a reason that follows "option: "."""

Arity = Literal["one", "switch", "maybe", "repeat", "some", "any", "rest"]
"""``one`` value; a ``switch`` without value, or ``maybe`` with one; ``repeat`` the flag; ``some`` values
(1 or more) or ``any`` number of them after the flag; the ``rest`` of the command line."""

_ARGPARSE: Mapping[Arity, Mapping[str, Any]] = {
    "one": {},
    "switch": {"action": "store_const", "const": "true"},
    "maybe": {"nargs": "?", "const": "true"},
    "repeat": {"action": "append"},
    "some": {"nargs": "+"},
    "any": {"nargs": "*"},
    "rest": {"nargs": argparse.REMAINDER},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """Everything there is to know about one option."""

    flag: str
    """``--like-this``; without dashes it is the positional argument."""
    parse: Parse
    help: str
    default: str | None
    """In the unit of the flag, as the user would write it; None for none."""
    metavar: str | None = None
    arity: Arity = "one"
    env: tuple[str, ...] = ()
    """Environment variables, the first one set wins. An empty one counts as not set."""
    env_aliases: Mapping[str, Parse] = field(default_factory=dict)
    """Further variables, after those in ``env``, whose values mean something else than the flag's."""
    yaml: str | None = None
    """Its name in Bokeh's own settings file (``--use-config``), if it is there."""
    yaml_parse: Parse | None = None
    """How its value there is read, if not like the flag's."""
    in_file: bool = True
    secret: bool = False
    """The value is shown nowhere."""

    @property
    def key(self) -> str:
        """Its name in a configuration file."""
        return self.flag.removeprefix("--")

    @property
    def is_list(self) -> bool:
        return self.arity not in ("one", "switch", "maybe")

    def value(self, raw: str | list[str], source: str, parse: Parse | None = None) -> Any:
        """The typed value. Raises ConfigError naming ``source``."""
        if isinstance(raw, list):
            return tuple(self.value(item, source, parse) for item in raw)
        try:
            return (parse or self.parse)(raw)
        except ValueError as error:
            shown = "the value" if self.secret else repr(raw if len(raw) <= 100 else raw[:100] + "...")
            raise ConfigError(f"{source}: {shown} {error}") from None

    def initial(self) -> Any:
        if self.default is None:
            return None
        return self.value([] if self.is_list and not self.default else self.default, "default")


def option(flag: str, parse: Parse, help: str, default: str | None = None, **more: Any) -> Any:  # noqa: A002
    """A dataclass field that is an option. Empty lists have the default ``""``."""
    made = Option(flag=flag, parse=parse, help=help, default=default, **more)
    return dataclasses.field(default=made.initial(), repr=not made.secret, metadata={"option": made})


class TakesArguments(Protocol):
    """A parser of :mod:`argparse`, or a group of its arguments."""

    def add_argument(self, *names: str, **more: Any) -> Any: ...


# -- sources -------------------------------------------------------------------------------------


PATHS: dict[str, Any] = {}
"""How shells complete paths. ``svc completion`` fills it in, and finds it at the arguments that are some."""


def add_options(parser: TakesArguments, options: Mapping[str, Option]) -> None:
    """Add a flag per option. Only flags that are given show up in the namespace, unparsed."""
    for name, opt in options.items():
        more: dict[str, Any] = dict(_ARGPARSE[opt.arity])
        if opt.flag.startswith("--"):
            more["dest"] = name
        if opt.arity != "switch":
            more["metavar"] = opt.metavar
        action = parser.add_argument(opt.flag, default=argparse.SUPPRESS, help=_help(opt), **more)
        if not opt.flag.startswith("--"):
            action.complete = PATHS


def lookup(opt: Option, given: Any, environ: Mapping[str, str], file: Mapping[str, Any], path: str) -> Any:
    """The option's value by precedence: flag, environment, configuration file, default.

    ``given`` is the flag's text or texts, or None. Raises ConfigError.
    """
    if isinstance(given, Checked):
        return given.value
    if given is not None:
        return opt.value(given, opt.flag)
    for variable in opt.env:
        if environ.get(variable):
            return opt.value(_from_env(opt, environ[variable]), f"{opt.flag} (from {variable})")
    for variable, parse in opt.env_aliases.items():
        if environ.get(variable):
            return opt.value(environ[variable], f"{opt.flag} (from {variable})", parse)
    if opt.key in file:
        source = f"{opt.flag} (from {path})"
        return opt.value(_from_toml(opt, file[opt.key], source), source)
    return opt.initial()


@dataclass(frozen=True, slots=True)
class Checked:
    """A value that was read already, in the place of a flag's text."""

    value: Any


def from_yaml(opt: Option, raw: Any, path: str) -> Any:
    """The option's value in Bokeh's settings file. Raises ConfigError."""
    source = f"{opt.flag} (from {path})"
    return opt.value(_from_toml(opt, raw, source), source, opt.yaml_parse)


def read_yaml(path: str) -> dict[str, Any]:
    """Bokeh's settings file. Raises ConfigError."""
    try:
        found = yaml.safe_load(Path(path).read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"--use-config {path}: {' '.join(str(error).split())}") from None
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise ConfigError(f"--use-config {path}: it holds no names and values")
    return {str(name): value for name, value in found.items()}


def read_toml(path: str, options: Iterable[Option]) -> dict[str, Any]:
    """The configuration file: one key per option, named like its flag. Raises ConfigError."""
    try:
        found = tomllib.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"configuration file {path}: {reason}") from None
    read = {key.replace("_", "-"): value for key, value in found.items()}
    unknown = sorted(read.keys() - {opt.key for opt in options if opt.in_file})
    if unknown:
        raise ConfigError(f"configuration file {path}: there is no option {unknown[0]!r} for a file")
    return read


def _from_env(opt: Option, raw: str) -> str | list[str]:
    if not opt.is_list:
        return raw
    return [part for item in raw.split(",") if (part := item.strip())]


def _from_toml(opt: Option, raw: Any, source: str) -> str | list[str]:
    if opt.is_list:
        return [_scalar(item, source) for item in (raw if isinstance(raw, list) else [raw])]
    return _scalar(raw, source)


def _scalar(raw: Any, source: str) -> str:
    if isinstance(raw, bool):
        return str(raw).lower()
    if isinstance(raw, str | int | float):
        return str(raw)
    raise ConfigError(f"{source}: not a {type(raw).__name__}")


def _help(opt: Option) -> str:
    notes = [f"default: {opt.default}"] if opt.default and opt.arity != "switch" else []
    variables = [*opt.env, *opt.env_aliases]
    if variables:
        notes.append("environment: " + ", then ".join(variables))
    return (opt.help + (f" ({'; '.join(notes)})" if notes else "")).replace("%", "%%")


# -- parsers -------------------------------------------------------------------------------------


def text(raw: str) -> str:
    """Any text but none."""
    if not raw.strip():
        raise ValueError("must not be empty")
    return raw


def boolean(raw: str) -> bool:
    """Strict: a typo must not switch something off."""
    match raw.strip().lower():
        case "true" | "1" | "yes" | "on":
            return True
        case "false" | "0" | "no" | "off":
            return False
    raise ValueError("is neither true nor false")


def choice(*allowed: str) -> Parse:
    """One of ``allowed``, in any case."""

    def parse(raw: str) -> str:
        if raw.lower() not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return raw.lower()

    return parse


def integer(low: int, high: int | None = None) -> Parse:
    """A whole number from ``low`` to ``high``, both included."""

    def parse(raw: str) -> int:
        try:
            value = int(raw)
        except ValueError:
            raise ValueError("is not a whole number") from None
        _check_range(value, low, high)
        return value

    return parse


def number(low: float, *, unit: float = 1.0) -> Parse:
    """A number of at least ``low``; the value is multiplied by ``unit`` (0.001 makes ms seconds)."""

    def parse(raw: str) -> float:
        try:
            value = float(raw)
        except ValueError:
            raise ValueError("is not a number") from None
        if not value < float("inf"):
            raise ValueError("is not a number")
        _check_range(value, low, None)
        return value * unit

    return parse


def _check_range(value: float, low: float, high: float | None) -> None:
    if value < low:
        raise ValueError(f"must be at least {low:g}")
    if high is not None and value > high:
        raise ValueError(f"must be at most {high:g}")
