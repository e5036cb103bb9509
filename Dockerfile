# One image for every role; docker-compose.yml says which.
FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VENOM_SKIP_BOOTSTRAP=1 VENOM_DATA_DIR=/data MALLOC_ARENA_MAX=2
WORKDIR /app
RUN useradd --system --uid 10001 --home-dir /app venom \
 && mkdir /data && chown venom /data
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
# .dockerignore lists what an image needs; everything else stays out.
COPY . .
# The health checks start Python every few seconds; the file system is read-only by then.
RUN python -m compileall -q .
USER venom
VOLUME /data
EXPOSE 8000
