# The scaler's image: one static-enough binary on a base with glibc, CA certificates and nothing to log in to.
#
#   make image                       with buildah, or docker and BuildKit
#   --build-arg BUILD_IMAGE=…        another base, such as a mirror's; BASE_IMAGE likewise
#   --platform linux/arm64           for another platform: compiled on this one, with a cross compiler
#
# The C code of aws-lc is compiled in; what is linked at run time is libc, libm and libgcc_s.
ARG BUILD_IMAGE=docker.io/library/rust:1.95.0-bookworm@sha256:6258907abe69656e41cd992e0b705cdcfabcbbe3db374f92ed2d47121282d4a1
ARG BASE_IMAGE=gcr.io/distroless/cc-debian12:nonroot@sha256:9dac0a79194e45a7da0158a9c6da57b217585af0786db3845d1f0ec1a0dd182f

FROM --platform=$BUILDPLATFORM ${BUILD_IMAGE} AS build
WORKDIR /src
# the toolchain is the image's; the pin would have rustup look for components that a build does not need
ENV RUSTUP_TOOLCHAIN=1.95.0 \
    CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
    CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_LINKER=x86_64-linux-gnu-gcc
# the platform of the image; without it, that of this machine. A cross compiler is needed where the two differ
ARG TARGETARCH
RUN host=$(dpkg --print-architecture) \
 && case ${TARGETARCH:-$host} in \
      amd64) target=x86_64-unknown-linux-gnu compiler=gcc-x86-64-linux-gnu libc=libc6-dev-amd64-cross ;; \
      arm64) target=aarch64-unknown-linux-gnu compiler=gcc-aarch64-linux-gnu libc=libc6-dev-arm64-cross ;; \
      *) echo "there is no image for $TARGETARCH" >&2; exit 1 ;; \
    esac \
 && echo "$target" >/target \
 && if [ "${TARGETARCH:-$host}" != "$host" ]; then \
      apt-get update && apt-get install -y --no-install-recommends "$compiler" "$libc" && rm -rf /var/lib/apt/lists/* \
      && rustup target add "$target"; \
    fi
# dependencies are a layer of their own: it is built again only when they change
COPY Cargo.toml Cargo.lock ./
# the playground is no part of the image, but the workspace has its manifest
COPY playground/Cargo.toml playground/
COPY cli/Cargo.toml cli/
COPY controller/Cargo.toml controller/
COPY core/Cargo.toml core/
COPY service/Cargo.toml service/
RUN mkdir -p src cli/src controller/src core/src service/src tests/it tests/image tests/kubernetes benches/figures playground/src \
 && echo 'fn main() {}' | tee src/main.rs tests/it/main.rs tests/image/main.rs tests/kubernetes/main.rs benches/figures/main.rs playground/src/main.rs >/dev/null \
 && touch src/lib.rs cli/src/lib.rs controller/src/lib.rs core/src/lib.rs service/src/lib.rs \
 && cargo build --release --locked --target "$(cat /target)" \
 && rm -rf src cli/src controller/src core/src service/src
COPY cli cli
COPY controller controller
COPY core core
COPY service service
COPY src src
ARG COMMIT=unknown
# file times decide what is built: the placeholders above may be younger than the sources
RUN find cli controller core service src -exec touch {} + \
 && STREAM_SCALER_COMMIT=${COMMIT} cargo build --release --locked --bin keda-stream-scaler --target "$(cat /target)" \
 && cp "target/$(cat /target)/release/keda-stream-scaler" /keda-stream-scaler

FROM ${BASE_IMAGE}
ARG COMMIT=unknown
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="keda-stream-scaler" \
      org.opencontainers.image.description="KEDA external scaler for consumers of Kafka, Kinesis and DynamoDB Streams: by lag, by age, or by the number of consumers needed" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.source="https://github.com/keda-stream-scaler/keda-stream-scaler" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"
COPY --from=build --chown=0:0 --chmod=0555 /keda-stream-scaler /usr/local/bin/keda-stream-scaler
COPY --chown=0:0 --chmod=0444 LICENSE /usr/share/doc/keda-stream-scaler/LICENSE
# by number, so that the kubelet can check runAsNonRoot
USER 65532:65532
EXPOSE 50051 8080
ENTRYPOINT ["/usr/local/bin/keda-stream-scaler"]
CMD ["serve"]
