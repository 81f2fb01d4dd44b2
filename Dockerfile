# syntax=docker/dockerfile:1

FROM python:3.13-slim AS build
COPY requirements.lock .
RUN python -m venv /opt/venv \
    && /opt/venv/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps --require-hashes -r requirements.lock \
    && /opt/venv/bin/pip uninstall --yes pip
WORKDIR /app
COPY bff bff
COPY schema schema
COPY datasources datasources
# Compiled here, once: the container that runs may not write.
RUN /opt/venv/bin/python -m compileall -q /app

FROM python:3.13-slim
LABEL org.opencontainers.image.title="bff" \
      org.opencontainers.image.description="A GraphQL gateway for REST services"
RUN useradd --system --no-create-home --uid 10001 bff
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app
WORKDIR /app
ENV PATH=/opt/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=2s --start-period=10s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ.get('PORT') or 8000}/health\", timeout=1)"]
ENTRYPOINT ["python", "-m", "bff"]
CMD ["serve"]
