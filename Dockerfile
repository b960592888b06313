# An image with only the static binary and the certificate authorities. Environment variables configure it; it logs
# to standard error:
#
#   docker build --tag switcher-api-server --build-arg SWITCHER_COMMIT="$(git rev-parse --short=12 HEAD)" .
#   docker run --publish 127.0.0.1:8082:8082 --env EnableAPIServer=true --env ListenAddr=:8082 \
#       --env APIUser=admin --env APIPassword --env AvailableCoins=btc,bcc --env ZKBroker=zk1:2181,zk2:2181 \
#       --env ZKSwitcherWatchDir=/stratumSwitcher/btcbcc/ \
#       --env HistoryFile=/var/lib/switcher-api-server/history.db \
#       --volume switcher-history:/var/lib/switcher-api-server switcher-api-server
#
# The image sets no variable, since it would take precedence over a mounted config.json. That file, users, certificates
# and keys are mounted with their directory, see docs/guide/install.md. SIGHUP reloads them; a change of variables takes
# a new container.

# Its C compiler and readelf are all that the build needs: neither cmake nor clang.
FROM rust:1.95-bookworm AS source
WORKDIR /src
COPY . .
# The commit that `--version` prints; the context has no .git.
ARG SWITCHER_COMMIT=unknown

FROM source AS build
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    --mount=type=cache,sharing=locked,target=/src/target \
    bash .ci/package binary switcher-api-server /out/switcher-api-server && mkdir /out/history

FROM source AS build-jobmaker
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    --mount=type=cache,sharing=locked,target=/src/target \
    bash .ci/package binary jobmaker-sim /out/jobmaker-sim

# A simulated jobmaker for config/compose.yaml, not part of the daemon's image.
FROM scratch AS jobmaker
COPY --from=build-jobmaker /out/jobmaker-sim /jobmaker-sim
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/jobmaker-sim"]

FROM scratch AS daemon
# For URLs with https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/switcher-api-server /switcher-api-server
# A new volume takes the owner of the directory that it is mounted on.
COPY --from=build --chown=65532:65532 /out/history /var/lib/switcher-api-server
WORKDIR /
USER 65532:65532
EXPOSE 8082 8083
# The daemon finishes accepted requests within ShutdownGraceSeconds (8), before Docker's 10 s are over.
STOPSIGNAL SIGTERM
# Checks that the process answers at AdminListenAddr. Readiness (`health --ready`) depends on ZooKeeper, which a restart
# of the container does not repair.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/switcher-api-server", "health"]
ENTRYPOINT ["/switcher-api-server"]
