//! The files of TLS as Kubernetes mounts a secret.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use super::certificates::{Authority, Pair};
use super::process::Serving;

const FILES: [&str; 3] = ["tls.crt", "tls.key", "ca.crt"];

/// A mounted secret: each file is a link into `..data`, itself a link to the folder of one version.
pub struct Secret {
    folder: tempfile::TempDir,
    versions: AtomicU32,
}

impl Secret {
    pub fn new(pair: &Pair, client_ca: &Authority) -> Self {
        let secret = Self { folder: tempfile::tempdir().unwrap(), versions: AtomicU32::new(0) };
        secret.replace(pair, &client_ca.pem());
        for file in FILES {
            symlink(PathBuf::from("..data").join(file), secret.path(file)).unwrap();
        }
        secret
    }

    /// Replaces all files at once, as the kubelet does.
    pub fn replace(&self, pair: &Pair, client_ca: &str) {
        let version = format!("..{}", self.versions.fetch_add(1, Ordering::Relaxed));
        fs::create_dir(self.folder.path().join(&version)).unwrap();
        for (file, text) in FILES.into_iter().zip([pair.certificate.as_str(), &pair.key, client_ca]) {
            fs::write(self.folder.path().join(&version).join(file), text).unwrap();
        }
        let link = self.folder.path().join("..data_tmp");
        symlink(version, &link).unwrap();
        fs::rename(link, self.folder.path().join("..data")).unwrap();
    }

    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// The arguments of `serve`, with and without client certificates.
    pub fn arguments(&self, mutual: bool) -> Vec<String> {
        let flags = ["--tls-cert", "--tls-key", "--tls-client-ca"].into_iter().zip(FILES);
        let flags = flags.take(if mutual { 3 } else { 2 });
        flags.flat_map(|(flag, file)| [flag.to_owned(), self.path(file).to_str().unwrap().to_owned()]).collect()
    }

    /// A process that serves with these files.
    pub async fn serving(&self, mutual: bool, more: &[&str]) -> Serving {
        let arguments = self.arguments(mutual);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        Serving::start(&arguments).await
    }
}
