# docker build --tag kind-crid --build-arg NODE=kindest/node:VERSION --file kind.Dockerfile FOLDER
# FOLDER contains crid's Debian packages. BuildKit sets TARGETARCH: amd64 or arm64.
ARG NODE=kindest/node:v1.36.1
FROM ${NODE}
ARG TARGETARCH
COPY crid_*_${TARGETARCH}.deb /tmp/
# crid reads the image's containerd configuration. Only one of the two may serve pods.
RUN dpkg -i /tmp/crid_*.deb \
  && rm /tmp/crid_*.deb \
  && sed -i '1i disabled_plugins = ["io.containerd.grpc.v1.cri"]' /etc/containerd/config.toml \
  && crid config check \
  && systemctl enable crid
