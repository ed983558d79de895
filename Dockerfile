# Stages: `producer` has no torch, `worker` no DICOM network library; both run the same command line.
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 10001 dxstream \
 && mkdir /home/dxstream/data && chown dxstream /home/dxstream/data
WORKDIR /home/dxstream
COPY pyproject.toml constraints.txt README.md LICENSE ./src/

# A wheel without its dependencies: each stage below installs those that its roles import.
FROM base AS wheel
COPY stream ./src/stream
COPY db ./src/db
COPY models ./src/models
COPY producers ./src/producers
COPY worker ./src/worker
COPY console ./src/console
COPY dxstream ./src/dxstream
RUN pip wheel --no-deps --wheel-dir /wheels ./src

FROM base AS producer
COPY ops/requirements-producer.txt ./
RUN pip install -c src/constraints.txt -r requirements-producer.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl
USER dxstream
ENV DXSTREAM_HOME=/home/dxstream/data
ENTRYPOINT ["dxstream"]

# TORCH_ARGS: for instance the index of PyTorch's CPU builds, for workers without a GPU.
FROM base AS worker
ARG TORCH_ARGS=""
RUN pip install ${TORCH_ARGS} -c src/constraints.txt torch
COPY ops/requirements-worker.txt ./
RUN pip install -c src/constraints.txt -r requirements-worker.txt
COPY --from=wheel /wheels /wheels
RUN pip install --no-deps /wheels/*.whl
USER dxstream
ENV DXSTREAM_HOME=/home/dxstream/data
ENTRYPOINT ["dxstream"]
