# Two images: `run` verifies, times and uses bundles without TensorFlow; `export` also trains and exports.
#
#     docker build --target run --tag pocketvae .
#     docker run --rm --volume "$PWD:/work" pocketvae verify bundle
FROM python:3.11-slim AS base
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /source
COPY pyproject.toml setup.py constraints.txt README.md LICENSE ./
COPY apps apps
COPY benchmarks benchmarks
COPY cli cli
COPY core core
COPY distil distil
COPY export export
COPY train train
COPY udf udf
RUN useradd --create-home pocketvae
ENTRYPOINT ["pocketvae"]
CMD ["--help"]

FROM base AS run
RUN pip install --constraint constraints.txt '.[run,parquet,sound]'
WORKDIR /work
USER pocketvae

FROM base AS export
RUN pip install --constraint constraints.txt '.[all]'
WORKDIR /work
USER pocketvae
