# Sourced by the findings: a fresh environment with the packages given, removed at exit.
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
environment() {
    "${PYTHON:-python3}" -c 'import sys; sys.exit(sys.version_info < (3, 12))' \
        || { echo "needs Python 3.12 or newer: PYTHON=/path/to/python $0" >&2; exit 2; }
    "${PYTHON:-python3}" -m venv "$work/venv"
    "$work/venv/bin/pip" install -qq --disable-pip-version-check "$@"
    python="$work/venv/bin/python"
    cd "$work"
}
