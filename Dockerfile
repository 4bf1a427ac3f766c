# syntax=docker/dockerfile:1
# One replica, with the example apps. For your own: FROM this image and COPY your apps to /apps.
#
#   docker build -t svc:dev .
#   docker run --rm --read-only --tmpfs /tmp -p 5006:5006 svc:dev
#
# With Bokeh 3.10; with Bokeh 3.9 (see docs/versions.md):
#
#   docker build -t svc:dev --build-arg PYTHON=3.11.13 --build-arg LOCK=requirements-3.11.lock .
#
# Versions are pinned: the base by its tag (add @sha256:... in a release), packages with hashes in the
# lock, which `make lock` writes. tests/operations/test_dockerfile.py runs these commands in a clean
# virtual environment.

ARG PYTHON=3.13.9
FROM python:${PYTHON}-slim-bookworm AS build
ARG LOCK=requirements-3.13.lock
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1
WORKDIR /src
COPY ${LOCK} ./requirements.lock
RUN python -m venv /opt/svc
RUN /opt/svc/bin/python -m pip install --quiet --require-hashes --only-binary :all: -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY service ./service
COPY store ./store
COPY svc ./svc
RUN /opt/svc/bin/python -m pip install --quiet --no-deps .
RUN /opt/svc/bin/python -m compileall -q /opt/svc/lib
RUN /opt/svc/bin/svc --version

FROM python:${PYTHON}-slim-bookworm
RUN groupadd --gid 10001 svc && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /tmp svc
COPY --from=build /opt/svc /opt/svc
COPY examples /apps
ENV PATH=/opt/svc/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
USER 10001:10001
WORKDIR /apps
EXPOSE 5006 9464
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=6 CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen(f'http://127.0.0.1:{os.environ.get(\"SVC_PORT\", 5006)}/healthz', timeout=4)"]
ENTRYPOINT ["svc"]
CMD ["serve", "sliders.py", "weather", "streaming.py", "explorer.py"]
