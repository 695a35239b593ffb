# The gateway: no torch, no OCR library, no compiler. Built from the repository's root; docker-compose.yml does it:
#
#     docker build --file deploy/gateway.Dockerfile --tag llava-graph/gateway:0.1.0 .
#
# Written for BuildKit and for the builder before it.

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
# More of the project's extras: telemetry, for traces.
ARG EXTRAS
RUN touch README.md && /opt/llava-graph/bin/pip install --no-compile ".[service${EXTRAS:+,$EXTRAS}]"
COPY llava_graph llava_graph
COPY launcher launcher
COPY service service
# Then without what only builds and tests need and without Pillow's decoder of AVIF, which no figure may be, and with
# bytecode for what a gateway loads: a fifth of its own size.
RUN /opt/llava-graph/bin/pip install --no-compile --no-deps --force-reinstall . \
    && /opt/llava-graph/bin/pip uninstall --yes setuptools pip \
    && cd /opt/llava-graph/lib/python3*/site-packages \
    && rm -rf numpy/distutils numpy/f2py PIL/_avif.* pillow.libs/libavif-* \
    && find . -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -r {} + \
    && find . -type f \( -name '*.pyi' -o -name '*.pyx' -o -name '*.pxd' -o -name '*.[ach]' \) -delete \
    && cd / && /opt/llava-graph/bin/python -c 'import service.process.run, launcher.cli, llava_graph.api_keys'

# Of a model the gateway needs what its manifest says.
COPY model_repo model_repo
RUN find model_repo -type f ! -name manifest.toml -delete

FROM ${PYTHON_IMAGE}

ARG REVISION=unknown
LABEL org.opencontainers.image.title="LLaVA-Graph gateway" \
      org.opencontainers.image.description="Explains scientific figures: figure and caption in, explanation out" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/llava-graph /opt/llava-graph
COPY --from=build /source/model_repo /app/model_repo
COPY examples /app/examples

# Where feedback goes, if it is turned on. An empty volume that is mounted there takes owner and mode from this folder.
RUN install -d -o 10001 -g 10001 -m 0700 /var/lib/llava-graph/feedback

# All addresses of the container: to be reached, its port must be published, and then the gateway wants keys.
ENV PATH=/opt/llava-graph/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 LLAVA_GRAPH_HOST=0.0.0.0 \
    LLAVA_GRAPH_FEEDBACK_DIR=/var/lib/llava-graph/feedback
WORKDIR /app
USER 10001:10001
EXPOSE 8000
HEALTHCHECK --interval=15s --timeout=10s --start-period=30s CMD ["llava-graph", "gateway", "--check"]
ENTRYPOINT ["llava-graph"]
CMD ["gateway"]
