# The engine where there is no GPU: `transformers serve` with the models that come along. docker-compose.yml builds it:
#
#     docker build --file deploy/engine-cpu.Dockerfile --tag llava-graph/engine-cpu:0.1.0 .
#
# Why not vLLM's build for CPUs: it is three times as large, takes 45 s to start instead of 8, and pays where many ask
# at once, which is what a GPU is for. There the engine is vLLM's own image.
#
# The public index has PyTorch with CUDA, which works and is several GB of libraries that this image never loads. Have
# PIP_EXTRA_INDEX_URL name PyTorch's own index for CPUs. Written for BuildKit and for the builder before it.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

FROM ${PYTHON_IMAGE} AS build

# How pip gets out from here, where that is not straight to the public index. CA_CERTIFICATE is the text of certificates
# to trust besides the usual ones. Nothing of this stage but the installed environment is in the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_TRUSTED_HOST
ARG CA_CERTIFICATE
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN if [ -n "$CA_CERTIFICATE" ]; then printf '%s\n' "$CA_CERTIFICATE" >> "$PIP_CERT"; fi \
    && python3 -m venv /opt/llava-graph

# First the libraries, which pyproject.toml alone decides: they stay in the builder's cache when our code changes.
WORKDIR /source
COPY pyproject.toml LICENSE NOTICE ./
RUN touch README.md && /opt/llava-graph/bin/pip install '.[engine,local]'
COPY llava_graph llava_graph
COPY launcher launcher
RUN /opt/llava-graph/bin/pip install --no-deps --force-reinstall .

# Models that are shipped as a delta are built here, so that the image has them whole. What only that needs lies in an
# environment beside the image's own, whose libraries it sees.
RUN python3 -m venv /opt/builder \
    && site_packages() { "$1/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))'; } \
    && site_packages /opt/llava-graph > "$(site_packages /opt/builder)/llava-graph.pth" \
    && /opt/builder/bin/pip install '.[weights]'
COPY weights weights
COPY model_repo model_repo
RUN for manifest in $(grep -l '^\[build\]' model_repo/*/manifest.toml); do \
        model="${manifest%/manifest.toml}" \
        && /opt/builder/bin/python -m launcher.cli weights build "$model" --target "/opt/built/$model" \
        && rm -r "$model" && mv "/opt/built/$model" "$model" || exit 1; \
    done \
    && /opt/llava-graph/bin/pip uninstall --yes pip \
    && rm -rf /opt/llava-graph/lib/python3*/site-packages/torch/include

FROM ${PYTHON_IMAGE}

ARG REVISION=unknown
LABEL org.opencontainers.image.title="LLaVA-Graph engine for CPUs" \
      org.opencontainers.image.description="Serves a vision-language model for LLaVA-Graph with transformers" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/llava-graph /opt/llava-graph
COPY --from=build /source/model_repo /app/model_repo

ENV PATH=/opt/llava-graph/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
USER 10001:10001
EXPOSE 8001
HEALTHCHECK --interval=15s --timeout=10s --start-period=120s CMD ["llava-graph", "engine", "--check"]
ENTRYPOINT ["llava-graph"]
CMD ["engine", "--host", "0.0.0.0"]
