# Stands in for Caddy's own image where that cannot be pulled: Debian's Caddy, with the capability that the real one has as
# a file attribute, and wget as Alpine has it.
ARG PYTHON_IMAGE
FROM ${PYTHON_IMAGE}
RUN apt-get update && apt-get install --yes --no-install-recommends caddy libcap2-bin wget && rm -rf /var/lib/apt/lists/* \
    && setcap cap_net_bind_service=+ep /usr/bin/caddy
