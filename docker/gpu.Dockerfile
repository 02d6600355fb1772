# docker build -f docker/gpu.Dockerfile -t acc:gpu .
#
# The GPU image: training, and evaluation in process, on A100s and H100s. Generation by vLLM is docker/serve.Dockerfile: vLLM asks for a
# torch of its own. Not built by us yet: it needs a machine with an engine and the network.
# docker run --rm --gpus all --ipc host -v "$PWD:/work" --entrypoint accelerate acc:gpu launch --num_processes 8 recipes/mine.yaml
FROM nvidia/cuda:13.0.1-cudnn-devel-ubuntu24.04 AS build
RUN apt-get update && apt-get install -y --no-install-recommends g++ git python3 python3-dev python3-venv \
 && rm -rf /var/lib/apt/lists/* && python3 -m venv /opt/acc/venv
WORKDIR /src
COPY .ci/constraints.txt ./
# torch first: what is compiled below is compiled against it. Its wheel is of the CUDA version that the base image has.
RUN /opt/acc/venv/bin/pip install --no-cache-dir -c constraints.txt torch numpy ninja setuptools wheel packaging psutil
# DeepSpeed with the operators that acc uses compiled here, not at the first step of every node: CPU Adam (parallel.offload:
# [optimizer]) and the flattening of parameters. AdamW on the GPU is torch's. A building machine has no GPU, so it is told of one.
ARG JOBS=8
RUN DS_ACCELERATOR=cuda MAX_JOBS="$JOBS" DS_BUILD_OPS=0 DS_BUILD_CPU_ADAM=1 DS_BUILD_UTILS=1 \
    /opt/acc/venv/bin/pip install --no-cache-dir --no-build-isolation --no-binary deepspeed -c constraints.txt deepspeed
ARG FLASH_ATTN=2.8.3.post2
# A100 and H100.
ARG CUDA_ARCHITECTURES="80;90"
RUN FLASH_ATTN_CUDA_ARCHS="$CUDA_ARCHITECTURES" MAX_JOBS="$JOBS" \
    /opt/acc/venv/bin/pip install --no-cache-dir --no-build-isolation -c constraints.txt "flash-attn==$FLASH_ATTN"
ARG LIGER_KERNEL=0.8.5
COPY pyproject.toml README.md LICENSE ./
COPY acc acc
RUN /opt/acc/venv/bin/pip install --no-cache-dir -c constraints.txt "liger-kernel==$LIGER_KERNEL" ".[gpu,databases,eval]"

FROM nvidia/cuda:13.0.1-base-ubuntu24.04
# Triton compiles the launchers of its kernels with a C compiler and Python's headers, on their first use.
RUN apt-get update && apt-get install -y --no-install-recommends g++ git python3 python3-dev \
 && rm -rf /var/lib/apt/lists/* && useradd --create-home --uid 10001 acc && install -d -o acc /work
COPY --from=build /opt/acc/venv /opt/acc/venv
COPY recipes /opt/acc/recipes
ENV PATH=/opt/acc/venv/bin:$PATH
USER 10001
WORKDIR /work
HEALTHCHECK --interval=5m --timeout=60s CMD ["python", "-c", "import torch; assert torch.cuda.is_available()"]
ENTRYPOINT ["acc"]
CMD ["--help"]
