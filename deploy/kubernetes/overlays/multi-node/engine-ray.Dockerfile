# vLLM with Ray, which vLLM's requirements have not named since it can spread a model over machines without.
#
#     docker build --file deploy/kubernetes/overlays/multi-node/engine-ray.Dockerfile --tag llava-graph/engine-ray:0.32.0 .

ARG VLLM_IMAGE=vllm/vllm-openai:v0.32.0

FROM ${VLLM_IMAGE}

RUN uv pip install --system --no-cache 'ray[cgraph]>=2.48,<3'
