# The OCR worker, with RapidOCR (its PP-OCRv6 weights come along) or with PaddleOCR. docker-compose.yml builds it:
#
#     docker build --file deploy/ocr-worker.Dockerfile --tag llava-graph/ocr-worker:0.1.0 .
#
# OCR_ENGINE=paddle takes PaddleOCR on ONNX Runtime, with the same weights. With a PADDLEPADDLE besides, the requirement
# of a paddlepaddle-gpu that fits the machine's CUDA (Paddle has an index of its own: PIP_EXTRA_INDEX_URL), the image is
# llava-graph/ocr-worker-gpu, with Paddle's own weights, which the build downloads: no worker ever does. Written for
# BuildKit and for the builder before it.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm
ARG OCR_ENGINE=rapid

FROM ${PYTHON_IMAGE} AS build

# How pip gets out from here, where that is not straight to the public index. CA_CERTIFICATE is the text of certificates
# to trust besides the usual ones. Nothing of this stage but the installed environment is in the image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_FIND_LINKS
ARG PIP_TRUSTED_HOST
ARG CA_CERTIFICATE
ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 \
    SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt REQUESTS_CA_BUNDLE=/etc/ssl/certs/ca-certificates.crt
RUN if [ -n "$CA_CERTIFICATE" ]; then printf '%s\n' "$CA_CERTIFICATE" >> "$PIP_CERT"; fi \
    && python3 -m venv /opt/llava-graph

# First the libraries, which pyproject.toml alone decides: they stay in the builder's cache when our code changes.
WORKDIR /source
COPY pyproject.toml LICENSE NOTICE ./
ARG OCR_ENGINE
ARG PADDLEPADDLE
# More of the project's extras: telemetry, for traces.
ARG EXTRAS
RUN touch README.md && mkdir /opt/ocr-models \
    && case "$OCR_ENGINE" in \
        rapid) /opt/llava-graph/bin/pip install ".[ocr${EXTRAS:+,$EXTRAS}]" ;; \
        # rapidocr for its weights alone, and without the OpenCV that it brings: PaddleOCR has another.
        paddle) /opt/llava-graph/bin/pip install ".[paddle${EXTRAS:+,$EXTRAS}]" $PADDLEPADDLE \
            && /opt/llava-graph/bin/pip install --no-deps 'rapidocr>=3.10,<3.11' ;; \
        *) echo "OCR_ENGINE is rapid or paddle, not $OCR_ENGINE" >&2; exit 1 ;; \
    esac
COPY llava_graph llava_graph
COPY launcher launcher
COPY ocr_worker ocr_worker
RUN /opt/llava-graph/bin/pip install --no-deps --force-reinstall . \
    && cd / \
    && case "$OCR_ENGINE${PADDLEPADDLE:+ on a GPU}" in \
        paddle) /opt/llava-graph/bin/python -m ocr_worker.engines.paddle_weights /opt/ocr-models ;; \
        'paddle on a GPU') PADDLE_PDX_CACHE_HOME=/opt/paddle /opt/llava-graph/bin/python -c "\
from ocr_worker.engines.paddle_weights import DETECTOR, RECOGNISER; \
from paddlex.inference.utils.official_models import official_models; \
print(official_models[DETECTOR], official_models[RECOGNISER])" \
            && mv /opt/paddle/official_models/* /opt/ocr-models/ ;; \
    esac \
    && /opt/llava-graph/bin/pip uninstall --yes pip

FROM ${PYTHON_IMAGE}

ARG OCR_ENGINE
# PaddleOCR's OpenCV draws windows, which it never does here, and wants the libraries for it.
RUN if [ "$OCR_ENGINE" = paddle ]; then \
        apt-get update \
        && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 libgomp1 \
        && rm -rf /var/lib/apt/lists/*; \
    fi

ARG REVISION=unknown
LABEL org.opencontainers.image.title="LLaVA-Graph OCR worker" \
      org.opencontainers.image.description="Reads the text in scientific figures for LLaVA-Graph" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /opt/llava-graph /opt/llava-graph
COPY --from=build /opt/ocr-models /opt/ocr-models

ENV PATH=/opt/llava-graph/bin:$PATH HOME=/tmp PYTHONDONTWRITEBYTECODE=1 \
    LLAVA_GRAPH_OCR_ENGINE=${OCR_ENGINE} \
    LLAVA_GRAPH_OCR_MODEL_DIR=/opt/ocr-models \
    PADDLE_PDX_CACHE_HOME=/tmp/paddlex
WORKDIR /app
USER 10001:10001
EXPOSE 9101
HEALTHCHECK --interval=15s --timeout=10s --start-period=60s CMD ["llava-graph", "ocr-worker", "--check"]
ENTRYPOINT ["llava-graph"]
CMD ["ocr-worker"]
