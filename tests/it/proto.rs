//! The generated code is checked in, so that a build needs no protoc; this test regenerates it.
//!
//! `UPDATE_GENERATED=1 cargo test --test it proto` writes the new text instead of comparing.

use std::fs;
use std::path::Path;

use prost::Message as _;

const GENERATED: &str = "service/src/keda/gen";

#[test]
fn generated_code_is_what_the_proto_generates() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let descriptors = protox::compile(["externalscaler.proto"], [root.join("proto")]).expect("the proto compiles");
    let out = tempfile::tempdir().expect("a temporary folder");
    tonic_prost_build::configure()
        .build_client(true)
        .build_server(true)
        .out_dir(out.path())
        .compile_fds(descriptors.clone())
        .expect("the code is generated");
    let code = fs::read(out.path().join("externalscaler.rs")).expect("generated code");
    for (name, fresh) in [("externalscaler.rs", code), ("externalscaler.bin", descriptors.encode_to_vec())] {
        let path = root.join(GENERATED).join(name);
        if std::env::var_os("UPDATE_GENERATED").is_some() {
            fs::write(&path, &fresh).expect("generated code is written");
        }
        let kept = fs::read(&path).unwrap_or_default();
        assert!(kept == fresh, "{GENERATED}/{name} is stale: run UPDATE_GENERATED=1 cargo test --test it proto");
    }
}
