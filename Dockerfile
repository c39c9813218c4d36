# The worker's image for RunPod's serverless CPU endpoints.
#
# The steps that do anything, fetching the vocabulary and the model and installing the dependencies, are the scripts in builder/
# that `make` runs too, so that an image and a local set-up cannot drift apart. Files are copied by name: nothing gets
# in because it happened to lie around. Layers go from what seldom changes to what often does.

# RunPod runs linux/amd64, whatever the machine that builds.
# hadolint ignore=DL3029
FROM --platform=linux/amd64 python:3.12.13-slim-trixie

# The authorities that every TLS connection, to OpenAI and to R2, is checked against; git and ssh fetch repositories.
# Debian removes old versions from its mirrors, so pinned ones would break the build; the base image pins the release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates git openssh-client \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /app

# A cache of packages would only make the image larger.
ENV PIP_NO_CACHE_DIR=1

# The vocabulary is baked in, checked by its SHA-256: a cold start downloads nothing and needs no host but the model's.
COPY builder/fetch_vocabulary.py builder/
RUN python builder/fetch_vocabulary.py vocabulary

# So is the embedding model of repository builds.
COPY builder/fetch_embedding_model.py builder/
RUN python builder/fetch_embedding_model.py models/minilm-l6

COPY requirements.lock ./
COPY builder/install_dependencies.sh builder/
RUN builder/install_dependencies.sh python requirements.lock

# The worker only needs to write its results, and those only where no bucket is set. Its user is named by number, so that
# hosts that let in no root (Kubernetes: runAsNonRoot) see that it is none.
RUN useradd --create-home --uid 10001 worker \
    && install --directory --owner 10001 --group 10001 results

# PYTHONUNBUFFERED: events and logs leave the process as they are written, also those of its last second.
# RUNPOD_LOG_LEVEL: at its own default the SDK prints every job's whole output.
# RUNPOD_MIN_MEMORY_GB: the SDK refuses to start below 4 GB of free memory; this worker needs far less than one.
# TIKTOKEN_CACHE_DIR is a folder and no secret.
# hadolint ignore=DL3064
ENV PYTHONUNBUFFERED=1 \
    TIKTOKEN_CACHE_DIR=/app/vocabulary \
    RUNPOD_LOG_LEVEL=INFO \
    RUNPOD_MIN_MEMORY_GB=1

COPY handler.py test_input.json ./
COPY generation/ generation/
COPY doctown/ doctown/

USER 10001

# Exec form: Python is process 1 and gets the signals itself; under a shell, a stopped worker is killed in mid-job.
CMD ["python", "-u", "handler.py"]
