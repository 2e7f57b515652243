# jdsr in a container, with the weights that the package carries.
#
#   docker build -t jdsr .                      for a CPU
#   docker build --target cuda -t jdsr:cuda .   for a CUDA GPU
#   docker run --rm --user "$(id -u):$(id -g)" -v "$PWD:/data" jdsr restore video.mp4

FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY jdsr_cli jdsr_cli
COPY train train
COPY weights weights
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheels .

FROM python:3.11-slim-bookworm AS runtime
# Libraries that OpenCV's wheel expects on the system. Versions are those of the base image's release.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
# The usual torch wheels for Linux x86-64 bring CUDA libraries, on a CPU some gigabytes too many. Where
# an index of wheels without them is at hand: --build-arg PIP_EXTRA_INDEX_URL=ADDRESS
ARG PIP_EXTRA_INDEX_URL
COPY --from=build /src/constraints.txt /wheels/
RUN --mount=type=bind,from=build,source=/wheels,target=/mnt/wheels \
    pip install --no-cache-dir --constraint /wheels/constraints.txt "$(ls /mnt/wheels/*.whl)[cpu,provenance]" \
    && rm -r /wheels \
    && useradd --uid 1000 --home-dir /cache --no-create-home jdsr \
    && install --directory --mode 1777 /cache /data
# Any user may be given by --user, so caches are in a folder that every user can write to.
ENV HOME=/cache \
    XDG_CACHE_HOME=/cache \
    MPLCONFIGDIR=/cache/matplotlib \
    PYTHONUNBUFFERED=1
USER 1000:1000
WORKDIR /data
ENTRYPOINT ["jdsr"]
CMD ["--help"]

FROM runtime AS cuda
# For the NVIDIA container toolkit: docker run --gpus all
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility

FROM runtime AS cpu
