#!/bin/sh
# param 2.4.2: obj.param.update(a=1) reads all parameters of the object, to be able to restore those that it sets. Where reading
# one fails, no other can be set: a Filename whose file was deleted meanwhile (check_exists is on by default) makes the update
# of a title raise OSError. obj.title = "..." works. obj.param.trigger("title") reads all, too. And for an object with many
# parameters reading them takes most of the time of setting one; Panel updates its config (90 parameters) with each component.
# Seen on Python 3.13.0.
. "$(dirname "$0")/lib.sh"
cat > "$work/update.py" <<'PY'
import sys
import tempfile

import param


class Report(param.Parameterized):
    file = param.Filename(default=None, allow_None=True)
    title = param.String(default="")


def attempt(what: str, step: object) -> bool:
    try:
        step()
    except OSError as error:
        print(f"{what}: OSError: {error}")
        return False
    print(f"{what}: done, the title is {report.title!r}")
    return True


with tempfile.NamedTemporaryFile() as file:
    report = Report(file=file.name)

updated = attempt("update", lambda: report.param.update(title="updated"))
triggered = attempt("trigger", lambda: report.param.trigger("title"))
assigned = attempt("assignment", lambda: setattr(report, "title", "assigned"))
sys.exit((updated, triggered, assigned) != (False, False, True))
PY
environment "param==2.4.2"
"$python" update.py
