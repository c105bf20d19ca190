# Prytany as an ordinary user. `docker build -t prytany .`, then see deploy/compose.yaml and docs/manual/service.md.

FROM python:3.13.0-slim-bookworm AS build
ENV UV_PYTHON_DOWNLOADS=never UV_LINK_MODE=copy UV_PROJECT_ENVIRONMENT=/opt/prytany
RUN python -m pip install --no-cache-dir uv==0.13.9
WORKDIR /build
COPY pyproject.toml uv.lock README.md LICENSE ./
COPY src ./src
RUN uv sync --locked --no-dev --no-editable --compile-bytecode

FROM python:3.13.0-slim-bookworm
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libseccomp2 \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --uid 10001 --no-create-home --home-dir /var/lib/prytany --shell /usr/sbin/nologin prytany \
 && install -d -m 0700 -o prytany -g prytany /var/lib/prytany
COPY --from=build /opt/prytany /opt/prytany
ENV PATH=/opt/prytany/bin:$PATH PRYTANY_HOME=/var/lib/prytany
USER 10001:10001
WORKDIR /var/lib/prytany
VOLUME /var/lib/prytany
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=2m --retries=3 CMD ["prytany", "status"]
ENTRYPOINT ["prytany"]
CMD ["up", "/fleet", "--drain", "30"]
