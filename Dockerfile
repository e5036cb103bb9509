# One image for every role; docker-compose.yml says which.
FROM python:3.12-slim-bookworm

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VENOM_SKIP_BOOTSTRAP=1 VENOM_DATA_DIR=/data
WORKDIR /app
RUN useradd --system --uid 10001 --home-dir /app venom \
 && mkdir /data && chown venom /data
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes --only-binary :all: -r requirements.txt
COPY manage.py ./
COPY venom_site venom_site
COPY models_app models_app
COPY runtime_app runtime_app
COPY history_app history_app
COPY templates templates
COPY static static
COPY locale locale
USER venom
VOLUME /data
EXPOSE 8000
