# A bundle behind a web page: docs/how-to/serve.md. Build it in the repository's folder:
#   docker build -f containers/serve.Dockerfile -t pneumobench-serve .
# Bundle and token come from outside; nothing can be written but to memory, and only this machine reaches the port:
#   docker run --rm --read-only --tmpfs /tmp --cap-drop ALL --memory 3g -p 127.0.0.1:8765:8765 \
#     -v ./quickstart-best:/bundle:ro -v ./token:/run/secrets/token:ro pneumobench-serve
FROM python:3.12-slim

WORKDIR /opt/pneumobench
COPY pyproject.toml README.md LICENSE constraints.txt ./
COPY pneumobench pneumobench
COPY benchmark benchmark
RUN pip install --no-cache-dir -c constraints.txt ".[dicom,serve]"

ENV HF_HUB_OFFLINE=1 \
    NO_ALBUMENTATIONS_UPDATE=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    XDG_STATE_HOME=/tmp/state

RUN useradd --create-home --uid 1000 runner
USER 1000
WORKDIR /home/runner
EXPOSE 8765
HEALTHCHECK --start-period=60s CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8765/health', timeout=3)"]
ENTRYPOINT ["pneumobench", "serve"]
CMD ["/bundle", "--host", "0.0.0.0", "--token-file", "/run/secrets/token"]
