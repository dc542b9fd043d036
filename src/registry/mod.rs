//! An OCI registry as the store that many machines share: push and pull (OCI distribution-spec 1.1).
//!
//! Only what the other side does not have moves. What comes in is hostile until its digest is proved; a blob gets its
//! name in the store only then. A push names the manifest last and a pull writes its file last, so whatever ends the
//! process leaves no half image on either side. Lost connections, 429 and 5xx are tried again with growing pauses.

mod agent;
mod auth;
mod certificates;
mod client;
mod credentials;
#[cfg(test)]
mod hostile_tests;
mod kept;
mod pull;
mod push;
mod reference;
mod referrers;
mod resolve;
mod upload;

use std::{path::PathBuf, time::Duration};

use crate::{bundle::read::ReadError, digest::Digest, files::FileError};

pub use agent::{Settings, agent};
pub use client::Client;
pub use credentials::{Credential, CredentialError, Places};
pub use kept::{collect, forget};
pub use pull::{Pulled, fetch, open};
pub use push::{Pushed, push};
pub use reference::{Reference, ReferenceError, Version, is_loopback};
pub use referrers::{put_signatures, signatures};

/// A registry could not be used.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No connection, in as many attempts as there are.
    #[error("cannot reach the registry {host}{}", proxy.as_deref().map(|proxy| format!(" through the proxy {proxy}")).unwrap_or_default())]
    Unreachable {
        /// As in the reference.
        host: String,
        /// `HOST:PORT`, where one was on the way.
        proxy: Option<String>,
        /// The last attempt's.
        source: Box<ureq::Error>,
    },
    /// It stayed busy or broken.
    #[error("the registry {host} answered {status} {attempts} times, the last time to {request}{message}")]
    Busy {
        /// As in the reference.
        host: String,
        /// 429 or 5xx.
        status: u16,
        /// How often.
        attempts: u32,
        /// `PUT /v2/…`.
        request: String,
        /// What it said, after a colon.
        message: String,
    },
    /// It asked for a longer pause than anybody would wait.
    #[error("the registry {host} wants no request for {} s", wait.as_secs())]
    Later {
        /// As in the reference.
        host: String,
        /// Its `Retry-After`.
        wait: Duration,
    },
    /// No credentials, or not these.
    #[error("the registry {host} does not let {who} {action} `{repository}`{message}")]
    Denied {
        /// As in the reference.
        host: String,
        /// `you (no credentials found)`, `the user ann`.
        who: String,
        /// `pull from`, `push to`.
        action: &'static str,
        /// The repository.
        repository: String,
        /// What it said, after a colon.
        message: String,
    },
    /// There is no such thing.
    #[error("the registry {host} has no `{what}`")]
    NotFound {
        /// As in the reference.
        host: String,
        /// Repository with tag or digest.
        what: String,
    },
    /// An answer that the protocol does not have.
    #[error("the registry {host} answered {request} with {found}{message}")]
    Unexpected {
        /// As in the reference.
        host: String,
        /// `PUT /v2/…`.
        request: String,
        /// The status, or what is wrong.
        found: String,
        /// What it said, after a colon.
        message: String,
    },
    /// Bytes that are not the ones they are named after.
    #[error("the registry {host} gave bytes for {expected} that hash to {found}")]
    Damaged {
        /// As in the reference.
        host: String,
        /// What was asked for.
        expected: Digest,
        /// What came.
        found: Digest,
    },
    /// A credential file or helper.
    #[error("cannot use the credentials for {host}")]
    Credentials {
        /// As in the reference.
        host: String,
        /// Why.
        source: CredentialError,
    },
    /// A file of certificates.
    #[error("`{}` holds no certificate that can be read", path.display())]
    Certificate {
        /// The file.
        path: PathBuf,
    },
    /// Plain HTTP would be needed and was not allowed.
    #[error("the registry {host} speaks no TLS")]
    Insecure {
        /// As in the reference.
        host: String,
    },
    /// A proxy that is none.
    #[error("`{proxy}` is no address of a proxy")]
    Proxy {
        /// As it was given, without its password.
        proxy: String,
    },
    /// The image is no bundle.
    #[error("cannot use the image {name}")]
    Image {
        /// The reference.
        name: String,
        /// Why.
        source: Box<ReadError>,
    },
    /// The store, or the bundle's file.
    #[error(transparent)]
    File(#[from] FileError),
    /// The person asked to stop.
    #[error("stopped")]
    Cancelled,
}
