# Bobbin in a container: docker build -t bobbin . && docker run --env-file .env -v bobbin:/data bobbin (no quotes in .env)
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "uv>=0.9"
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
# The packages first: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --extra tracing --no-install-project
COPY README.md LICENSE app.yaml ./
COPY bot bot
COPY handlers handlers
COPY storage storage
RUN uv sync --locked --no-dev --extra tracing --no-editable

FROM python:3.13-slim
RUN useradd --uid 10001 --create-home --skel /dev/null --home-dir /data bobbin
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH DATABASE_URL=sqlite:////data/bobbin.sqlite3 HOST=0.0.0.0 LOG_FORMAT=json
# By number, so that Kubernetes can see that it is not root.
USER 10001
WORKDIR /data
VOLUME /data
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["python", "-c", "import os, urllib.request as web; web.build_opener(web.ProxyHandler({})).open(f\"http://127.0.0.1:{os.environ.get('PORT') or 3000}/healthz\", timeout=4)"]
CMD ["bobbin", "run"]
