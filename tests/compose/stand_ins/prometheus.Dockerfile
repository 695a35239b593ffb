# Stands in for Prometheus's own image where that cannot be pulled: Debian's Prometheus, with that image's folder.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends prometheus && rm -rf /var/lib/apt/lists/*
RUN mkdir --parents /prometheus && chown 65534:65534 /prometheus
ENTRYPOINT ["prometheus"]
