# imgmv in a container; docs/install.md has the lines to run it with.
ARG NODE_IMAGE=node:20-bookworm-slim
ARG BASE_IMAGE=debian:bookworm-slim

FROM ${NODE_IMAGE} AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends g++ make python3 \
 && rm -rf /var/lib/apt/lists/*
WORKDIR /opt/imgmv
COPY package.json package-lock.json ./
# No package runs a script, and none gets a ready-made binary from elsewhere: the zstd addon is compiled from
# the sources that package-lock.json pins, with the headers that come with Node.
RUN npm ci --ignore-scripts --no-audit --no-fund \
 && npm_config_build_from_source=true npm_config_nodedir=/usr/local npm rebuild zstd-napi
COPY tsconfig.json tsconfig.build.json ./
COPY proto proto
COPY agent agent
COPY cli cli
RUN npm run build && npm prune --ignore-scripts --omit=dev --omit=optional --no-audit --no-fund
# What only another runtime, a compiler or an editor would read. Licences stay.
RUN mv node_modules/zstd-napi/build/Release/binding.node /tmp/ \
 && rm -rf node_modules/zstd-napi/build node_modules/zstd-napi/deps node_modules/zstd-napi/src \
      node_modules/bare-* node_modules/node-addon-api node_modules/prebuild-install node_modules/@types \
      node_modules/undici-types node_modules/ssh2/test node_modules/.bin node_modules/.package-lock.json \
 && mkdir -p node_modules/zstd-napi/build/Release \
 && mv /tmp/binding.node node_modules/zstd-napi/build/Release/ \
 && find node_modules -type f \( -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.map' \
      -o -name '*.md' -o -name '*.markdown' -o -name '*.c' -o -name '*.cc' -o -name '*.h' \) -delete \
 && find node_modules -type d -empty -delete \
 && rm -rf proto agent cli tsconfig.json tsconfig.build.json package-lock.json

FROM ${BASE_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /opt/imgmv /opt/imgmv
COPY LICENSE /opt/imgmv/
# No user of any name: --group-add gives it the group of the docker socket, and that is all it gets.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/local/bin/node", "/opt/imgmv/dist/cli/main.js"]
