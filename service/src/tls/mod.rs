//! TLS on the gRPC port: the contents of the files, which clients are accepted, and what is logged about refused ones.
//!
//! A handshake uses the file contents at its start; open connections are not changed, so a rotation interrupts no call.
//! With a client CA every client must have a certificate of it, and sessions are not resumed: each connection is verified.

mod expiry;
mod files;
mod incoming;
mod refusal;
mod under_way;

use std::sync::Arc;

use tokio::sync::watch;

pub use self::expiry::{Expiry, Validity};
use self::files::Identity;
pub use self::files::{Error, Files};
pub use self::incoming::{Listener, accept};

/// The files, and their contents when they were last valid.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    current: watch::Sender<Arc<Identity>>,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// Returns an error when a file cannot be read or used, or certificate and key do not belong together.
    pub fn read(files: Files) -> Result<Self, Error> {
        let (current, _) = watch::channel(Arc::new(files.read()?));
        Ok(Self { files, current })
    }

    /// Reads the files again; handshakes that begin from now on use the new contents. Returns whether the contents changed.
    ///
    /// # Errors
    /// Returns the errors of [`Self::read`]; the last valid contents stay in use.
    pub fn reload(&self) -> Result<bool, Error> {
        let read = self.files.read()?;
        Ok(self.current.send_if_modified(|current| {
            let changed = current.digest != read.digest;
            if changed {
                *current = Arc::new(read);
            }
            changed
        }))
    }

    /// Returns the paths of the files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// Returns the validity period of the certificate in use.
    pub(crate) fn validity(&self) -> Validity {
        self.current.borrow().validity
    }

    fn identity(&self) -> Arc<Identity> {
        self.current.borrow().clone()
    }
}
