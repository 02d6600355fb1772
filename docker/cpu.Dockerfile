# docker build -f docker/cpu.Dockerfile -t acc:cpu .
#
# The CPU image: check, plan, convert, compile, pack, export, report, and the quickstart. torch is the CPU build.
# docker run --rm -v "$PWD:/work" acc:cpu check recipes/mine.yaml
FROM python:3.11.13-slim-bookworm AS build
# Where the CPU build of torch comes from.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
RUN python3 -m venv /opt/acc/venv
WORKDIR /src
# What acc needs is a layer of its own, so that a change of the code does not install it again.
COPY pyproject.toml .ci/constraints.txt ./
RUN python3 -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
more = p['optional-dependencies']; print(*p['dependencies'], *more['databases'], *more['eval'], sep='\n')" > requirements.txt \
 && /opt/acc/venv/bin/pip install --no-cache-dir --extra-index-url "$TORCH_INDEX" -c constraints.txt torch \
 && /opt/acc/venv/bin/pip install --no-cache-dir -c constraints.txt -r requirements.txt
COPY README.md LICENSE ./
COPY acc acc
RUN /opt/acc/venv/bin/pip install --no-cache-dir --no-deps .

FROM python:3.11.13-slim-bookworm
# DeepSpeed compiles its CPU communication with g++ on its first use; the simulated software environments and the git resolver need git.
RUN apt-get update && apt-get install -y --no-install-recommends g++ git && rm -rf /var/lib/apt/lists/* \
 && useradd --create-home --uid 10001 acc && install -d -o acc /work
COPY --from=build /opt/acc/venv /opt/acc/venv
COPY recipes /opt/acc/recipes
ENV PATH=/opt/acc/venv/bin:$PATH
USER 10001
WORKDIR /work
HEALTHCHECK --interval=5m --timeout=30s CMD ["acc", "--version"]
ENTRYPOINT ["acc"]
CMD ["--help"]
