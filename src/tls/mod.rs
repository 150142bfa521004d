//! TLS on the gRPC port: what the files hold, who is let in, and what is told of those who are not.
//!
//! A handshake uses what the files held when it began; connections that are open stay as they are, so a rotation interrupts no call.
//! With a client CA every client must have a certificate of it, and nothing is resumed: each connection is verified anew.

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

/// The files and what they held when they were last good.
#[derive(Clone, Debug)]
pub struct Tls {
    files: Files,
    current: watch::Sender<Arc<Identity>>,
}

impl Tls {
    /// Reads the files for the first time.
    ///
    /// # Errors
    /// When a file cannot be read or used, or certificate and key do not belong together.
    pub fn read(files: Files) -> Result<Self, Error> {
        let (current, _) = watch::channel(Arc::new(files.read()?));
        Ok(Self { files, current })
    }

    /// Reads the files again; handshakes that begin from now on use what they hold. Tells whether that is something else than before.
    ///
    /// # Errors
    /// As [`Self::read`]; what was good before stays in force.
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

    /// The files.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// When the certificate in force is good.
    pub fn validity(&self) -> Validity {
        self.current.borrow().validity
    }

    fn identity(&self) -> Arc<Identity> {
        self.current.borrow().clone()
    }
}
