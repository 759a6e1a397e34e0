# syntax=docker/dockerfile:1
FROM python:3.13-slim-bookworm AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
COPY requirements-runtime.lock pyproject.toml README.md LICENSE ./
RUN python -m venv /opt/keycairn
COPY src src
COPY domain domain
COPY ports ports
COPY adapters adapters
COPY plugins plugins
COPY app app
# Every file that comes from outside is one the lock names by its hash; what is built is our own. What makes examples of
# data, and what installs, has no use in a service.
RUN /opt/keycairn/bin/pip install --require-hashes --requirement requirements-runtime.lock \
 && /opt/keycairn/bin/pip install --no-deps --no-build-isolation . \
 && /opt/keycairn/bin/pip uninstall --yes faker polyfactory setuptools pip

FROM python:3.13-slim-bookworm
ARG VERSION=0
ARG REVISION=unknown
LABEL org.opencontainers.image.version=$VERSION \
      org.opencontainers.image.revision=$REVISION \
      org.opencontainers.image.base.name="python:3.13-slim-bookworm"
LABEL org.opencontainers.image.title="Keycairn" \
      org.opencontainers.image.description="A self-hosted service for AI provider accounts" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin keycairn \
 && install --directory --owner keycairn --group keycairn --mode 0700 /data
COPY --from=build /opt/keycairn /opt/keycairn
ENV PATH=/opt/keycairn/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KEYCAIRN_HOST=0.0.0.0 \
    KEYCAIRN_PORT=8765 \
    KEYCAIRN_DATA_DIR=/data
# By number: a cluster that refuses root has to see from the image alone that this is another.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 8765
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s \
  CMD ["python", "-c", "import json, os, urllib.request as r; at = json.load(open(os.environ['KEYCAIRN_DATA_DIR'] + '/server.json'))['url']; r.urlopen(at + '/health/live', timeout=2)"]
ENTRYPOINT ["keycairn"]
CMD ["serve"]
