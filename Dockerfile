# Tailrace in a container: `docker build -t tailrace .`, then compose.yaml. It runs as a user of its own and keeps what
# it must keep in /data. One image serves as API (`serve`) and as worker (`worker`).

FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src
RUN python -m venv /opt/tailrace \
    && /opt/tailrace/bin/pip install --no-cache-dir -c constraints.txt '.[postgres,s3,celery,heic]'

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --user-group --home-dir /data --no-create-home tailrace \
    && install --directory --owner tailrace --group tailrace --mode 0700 /data
COPY --from=build /opt/tailrace /opt/tailrace
ENV PATH=/opt/tailrace/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TAILRACE_DATA=/data \
    TAILRACE_HOST=0.0.0.0 \
    TAILRACE_LOG_FORMAT=json
USER tailrace
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
# Whether the API answers and its database and storage do. A worker has no port: compose.yaml switches it off.
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s --retries=4 CMD ["python", "-c", \
    "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=8)"]
ENTRYPOINT ["tailrace"]
CMD ["serve"]
