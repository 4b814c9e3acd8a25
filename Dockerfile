# Bobbin in a container: docker build -t bobbin . && docker run --env-file .env -v bobbin:/data bobbin
FROM python:3.13-slim AS build
RUN pip install --no-cache-dir "uv>=0.9"
ENV UV_PYTHON_DOWNLOADS=never UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /app
# The packages first: they change less often than the code.
COPY pyproject.toml uv.lock ./
RUN uv sync --locked --no-dev --no-install-project
COPY README.md LICENSE app.yaml ./
COPY bot bot
COPY handlers handlers
COPY storage storage
RUN uv sync --locked --no-dev --no-editable

FROM python:3.13-slim
RUN useradd --system --create-home --home-dir /data bobbin
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH DATABASE_URL=sqlite:////data/bobbin.sqlite3 HOST=0.0.0.0 LOG_FORMAT=json
USER bobbin
WORKDIR /data
VOLUME /data
EXPOSE 3000
CMD ["bobbin", "run"]
