# imgmv in a container; docs/install.md has the lines to run it with. `npm run pin` adds the digests of these images.
ARG NODE_IMAGE=node:24-bookworm-slim
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
 && JOBS=max npm_config_build_from_source=true npm_config_nodedir=/usr/local npm rebuild zstd-napi
COPY tsconfig.json ./
COPY packaging packaging
COPY proto proto
COPY agent agent
COPY cli cli
RUN npm run build
# All of imgmv is one file, but for the addon: three files of its package are what a run needs.
RUN mkdir --parents /out/dist /out/node_modules/zstd-napi/build/Release \
 && cp dist/* /out/dist/ && cp package.json /out/ \
 && cd node_modules/zstd-napi \
 && cp package.json binding.js LICENSE NOTICE /out/node_modules/zstd-napi/ \
 && cp deps/zstd/LICENSE /out/node_modules/zstd-napi/LICENSE.zstd \
 && cp build/Release/binding.node /out/node_modules/zstd-napi/build/Release/

FROM ${BASE_IMAGE}
COPY --from=build /usr/local/bin/node /usr/local/bin/node
COPY --from=build /out /opt/imgmv
COPY LICENSE /opt/imgmv/
# For `imgmv help PAGE`.
COPY docs /opt/imgmv/docs
# No user of any name: --group-add gives it the group of the docker socket, and that is all it gets.
USER 65532:65532
WORKDIR /
ENTRYPOINT ["/usr/local/bin/node", "/opt/imgmv/dist/imgmv.js"]
