"""Signatures on demand are those that Bokeh makes as it is imported."""

from __future__ import annotations

import copy
import inspect
import pickle
import subprocess
import sys
from collections.abc import Callable
from inspect import Signature
from typing import Any

import bokeh.models  # noqa: F401 - with signatures made by Bokeh
import pytest
from bokeh.model import Model
from bokeh.models import Slider

from service.documents import signatures
from service.documents.signatures import SignatureOnDemand

CLASSES = sorted(
    (
        cls
        for cls in Model.model_class_reverse_map.values()
        if issubclass(cls, Model) and cls.__module__.startswith("bokeh.models")
    ),
    key=lambda cls: cls.__qualified_model__,
)

USES: tuple[Callable[[Any], Any], ...] = (
    lambda signature: signature.parameters,
    lambda signature: signature.return_annotation,
    lambda signature: signature.replace(parameters=[]),
    lambda signature: signature.replace(return_annotation=int),
    lambda signature: copy.replace(signature) if hasattr(copy, "replace") else None,
    lambda signature: signature.bind(value=3).arguments,
    lambda signature: signature == inspect.signature(Slider.__init__),
    lambda signature: inspect.signature(Slider.__init__) == signature,
    lambda signature: signature != inspect.signature(Slider.__init__),
    lambda signature: hash(signature.replace(parameters=[])),
    repr,
    str,
    format,
    copy.copy,
    lambda signature: type(copy.copy(signature)),
)


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__qualified_model__)
def test_each_class_has_the_signature_that_bokeh_makes(cls: type[Model]) -> None:
    made: Any = SignatureOnDemand(cls)

    assert isinstance(made, Signature)
    assert str(made) == str(inspect.signature(cls.__init__))
    assert list(made.parameters) == list(inspect.signature(cls.__init__).parameters)
    assert type(made) is Signature


@pytest.mark.parametrize("use", USES)
def test_whatever_is_asked_first(use: Callable[[Any], Any]) -> None:
    assert use(SignatureOnDemand(Slider)) == use(inspect.signature(Slider.__init__))


def test_an_unhashable_default_is_still_one() -> None:
    with pytest.raises(TypeError, match="unhashable"):
        hash(SignatureOnDemand(Slider))
    with pytest.raises(TypeError, match="unhashable"):
        hash(inspect.signature(Slider.__init__))


def test_it_is_pickled_as_a_plain_signature() -> None:
    class Small(Model):
        pass

    plain = Signature([each[0] for each in Small.parameters()])

    found = pickle.loads(pickle.dumps(SignatureOnDemand(Small)))

    assert type(found) is Signature
    assert found == plain


def test_two_threads_that_ask_at_once_get_the_same() -> None:
    """One has made it while the other was on its way there."""
    signature = SignatureOnDemand(Slider)
    late = SignatureOnDemand._parameters.fget  # type: ignore[attr-defined]
    first = dict(signature.parameters)

    assert dict(late(_as_before(signature))) == first


def _as_before(signature: Any) -> Any:
    """As the other thread sees it, which has looked for the method already."""

    class Seen:
        def _made(self) -> Signature:
            return SignatureOnDemand._made(signature)

    return Seen()


def imported(code: str) -> str:
    """What a new process says that has imported Bokeh as a server does."""
    begin = "from service.cli.serve import import_server\nimport_server()\n"
    command = [sys.executable, "-c", begin + code]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_a_server_imports_bokeh_without_making_them() -> None:
    found = imported(
        "import inspect\nfrom bokeh.model import Model\nfrom bokeh.models import Slider\n"
        "kept, how = vars(Slider.__init__)['__signature__'], vars(Model)['__init_subclass__']\n"
        "print(type(kept).__name__, how.__func__.__module__)\n"
        "print(inspect.signature(Slider.__init__))\n"
        "print(Slider.__doc__)"
    )

    kinds, signature, *doc = found.splitlines()
    assert kinds == "SignatureOnDemand bokeh.model.model"
    assert signature == str(inspect.signature(Slider.__init__))
    assert "\n".join(doc).strip() == str(Slider.__doc__).strip()


def test_another_bokeh_makes_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    bokehs = vars(Model)["__init_subclass__"]
    monkeypatch.setattr(signatures, "is_released", lambda function, name: name != "parameters")

    with signatures.made_on_demand():
        assert vars(Model)["__init_subclass__"] is bokehs
