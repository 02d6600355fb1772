# docker build -f docker/serve.Dockerfile -t acc:serve docker
#
# vLLM in an image of its own, for a teacher and for evaluation. acc asks it by address: rationale.teacher.base_url, evaluate.server.base_url,
# or `acc eval --base-url http://HOST:8000/v1`. Not built by us yet: it needs a machine with an engine and the network.
# docker run --rm --gpus all --ipc host -p 8000:8000 -v "$PWD/runs:/runs:ro" acc:serve /runs/mine/train/checkpoint-200 --tensor-parallel-size 4
FROM vllm/vllm-openai:v0.33.0
RUN useradd --create-home --uid 10001 acc
USER 10001
WORKDIR /home/acc
EXPOSE 8000
# A 30B model takes minutes to load.
HEALTHCHECK --interval=1m --timeout=10s --start-period=30m \
    CMD ["python3", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8000/health', timeout=8)"]
ENTRYPOINT ["vllm", "serve", "--host", "0.0.0.0", "--port", "8000"]
CMD ["--help"]
