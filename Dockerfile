# An image of nothing but the static binary and the certificate authorities. It is configured by environment
# variables alone and logs on standard error:
#
#   docker build --tag switcher-api-server --build-arg SWITCHER_COMMIT="$(git rev-parse --short=12 HEAD)" .
#   docker run --publish 127.0.0.1:8082:8082 --env EnableAPIServer=true --env ListenAddr=:8082 \
#       --env APIUser=admin --env APIPassword --env AvailableCoins=btc,bcc --env ZKBroker=zk1:2181,zk2:2181 \
#       --env ZKSwitcherWatchDir=/stratumSwitcher/btcbcc/ switcher-api-server
#
# No variable is set here, since it would win over a file that somebody mounts as /config.json. The environment of a
# process does not change: SIGHUP has another state of such a file taken over, other variables take a new container.

FROM rust:1.95-bookworm AS source
WORKDIR /src
COPY . .
# What `--version` tells; the context has no .git.
ARG SWITCHER_COMMIT=unknown

FROM source AS build
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    --mount=type=cache,sharing=locked,target=/src/target \
    bash .ci/package binary switcher-api-server /out/switcher-api-server

FROM source AS build-jobmaker
RUN --mount=type=cache,sharing=locked,target=/usr/local/cargo/registry \
    --mount=type=cache,sharing=locked,target=/src/target \
    bash .ci/package binary jobmaker-sim /out/jobmaker-sim

# For config/compose.yaml: a simulated jobmaker. No part of the daemon's image.
FROM scratch AS jobmaker
COPY --from=build-jobmaker /out/jobmaker-sim /jobmaker-sim
USER 65532:65532
STOPSIGNAL SIGTERM
ENTRYPOINT ["/jobmaker-sim"]

FROM scratch AS daemon
# For a UserCoinMapURL with https.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/switcher-api-server /switcher-api-server
WORKDIR /
USER 65532:65532
EXPOSE 8082 8083
# It finishes what it has accepted within ShutdownGraceSeconds (8), before Docker's 10 s are over.
STOPSIGNAL SIGTERM
# Alive, at AdminListenAddr. Whether it is ready (`health --ready`) depends on ZooKeeper, which a restart does not mend.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 CMD ["/switcher-api-server", "health"]
ENTRYPOINT ["/switcher-api-server"]
