# The image of the worker and of both HTTP services, for RunPod's serverless CPU endpoints and for any other host.
#
# The steps that do anything (fetching the vocabulary and the model, installing the dependencies, removing what only an
# installation needs) are the scripts in builder/ that `make` runs too, so that an image and a local set-up cannot drift
# apart. They run in a stage of their own: its tools and caches stay there. Files are copied by name: nothing gets in
# because it happened to lie around. Layers go from what seldom changes to what often does.

# RunPod runs linux/amd64, whatever the machine that builds.
# hadolint ignore=DL3029
FROM --platform=linux/amd64 python:3.12.13-slim-trixie AS build

WORKDIR /app

# A cache of packages would only make the stage larger.
ENV PIP_NO_CACHE_DIR=1

# The vocabulary is baked in, checked by its SHA-256: a cold start downloads nothing and needs no host but the model's.
COPY builder/fetch_vocabulary.py builder/
RUN python builder/fetch_vocabulary.py vocabulary

# So is the embedding model of repository builds.
COPY builder/fetch_embedding_model.py builder/
RUN python builder/fetch_embedding_model.py models/minilm-l6

COPY requirements.lock ./
COPY builder/install_dependencies.sh builder/strip_environment.py builder/
RUN python -m venv /opt/venv \
    && builder/install_dependencies.sh /opt/venv/bin/python requirements.lock \
    && python builder/strip_environment.py /opt/venv

# hadolint ignore=DL3029
FROM --platform=linux/amd64 python:3.12.13-slim-trixie

# The authorities that every TLS connection, to OpenAI and to R2, is checked against; git and ssh fetch repositories.
# Debian removes old versions from its mirrors, so pinned ones would break the build; the base image pins the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

# The worker only needs to write its results, and those only where no bucket is set. Its user is named by number, so that
# hosts that let in no root (Kubernetes: runAsNonRoot) see that it is none.
RUN useradd --create-home --uid 10001 worker \
    && install --directory --owner 10001 --group 10001 results

COPY --from=build /opt/venv /opt/venv
COPY --from=build /app/vocabulary vocabulary
COPY --from=build /app/models models

# PYTHONUNBUFFERED: events and logs leave the process as they are written, also those of its last second.
# RUNPOD_LOG_LEVEL: at its own default the SDK prints every job's whole output.
# RUNPOD_MIN_MEMORY_GB: the SDK refuses to start below 4 GB of free memory; this worker needs far less than one.
# TIKTOKEN_CACHE_DIR is a folder and no secret.
# hadolint ignore=DL3064
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    TIKTOKEN_CACHE_DIR=/app/vocabulary \
    RUNPOD_LOG_LEVEL=INFO \
    RUNPOD_MIN_MEMORY_GB=1

COPY start.py handler.py ./
COPY generation/ generation/
COPY doctown/ doctown/

# The worker's service, and that for repositories.
EXPOSE 8003 3000

USER 10001

# Exec form: Python is process 1 and gets the signals itself; under a shell, a stopped worker is killed in mid-job. It is
# RunPod's handler where RunPod's queue is named in the environment, and the worker's HTTP service elsewhere.
CMD ["python", "-u", "start.py"]
