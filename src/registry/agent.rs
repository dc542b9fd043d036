//! How this program speaks HTTP with the outside: the user's proxies and certificates, the system's names.

use std::{path::PathBuf, time::Duration};

use ureq::{
    Agent, Proxy,
    tls::{RootCerts, TlsConfig},
    unversioned::transport::DefaultConnector,
};

use super::{RegistryError, certificates, credentials::Places, reference::is_loopback, resolve::StubResolver};

/// Without a byte for so long, a connection is lost.
const SILENCE: Duration = Duration::from_secs(120);

/// What the caller knows of the world.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Credential files.
    pub places: Places,
    /// `$SSL_CERT_FILE`, `$SSL_CERT_DIR`; the system's certificates when empty.
    pub certificates: Vec<PathBuf>,
    /// Directories with a directory per `HOST[:PORT]`, which holds `*.crt` (`/etc/docker/certs.d`).
    pub certificate_dirs: Vec<PathBuf>,
    /// `$HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `$HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `$NO_PROXY`.
    pub no_proxy: Option<String>,
    /// Plain HTTP may be used with hosts that are not this machine.
    pub insecure: bool,
}

/// For the host `HOST[:PORT]`. It follows no redirect, takes every status for an answer, and waits bounded times.
pub fn agent(scheme: &str, host: &str, settings: &Settings) -> Result<Agent, RegistryError> {
    let beside: Vec<PathBuf> = settings.certificate_dirs.iter().map(|dir| dir.join(host)).collect();
    let mut tls = TlsConfig::builder();
    if scheme == "https" {
        let roots = certificates::load(&settings.certificates, &beside)?;
        tls = tls.root_certs(RootCerts::new_with_certs(&roots));
    }
    let proxy = if scheme == "https" { &settings.https_proxy } else { &settings.http_proxy };
    let proxy = proxy.as_deref().filter(|text| !text.is_empty()).map(|text| proxy_of(text, settings)).transpose()?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("nbpack/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.build())
        // Loopback is never behind a proxy.
        .proxy(proxy.filter(|_| !is_loopback(host)))
        .timeout_connect(Some(Duration::from_secs(30)))
        .timeout_per_read(Some(SILENCE))
        .timeout_per_write(Some(SILENCE))
        .max_idle_connections_per_host(8)
        .build();
    Ok(Agent::with_parts(config, DefaultConnector::default(), StubResolver::default()))
}

fn proxy_of(text: &str, settings: &Settings) -> Result<Proxy, RegistryError> {
    let plain = text.rsplit('@').next().unwrap_or_default().to_owned();
    let wrong = |_| RegistryError::Proxy { proxy: plain.clone() };
    let proxy = Proxy::new(text).map_err(wrong)?;
    let Some(excluded) = settings.no_proxy.as_deref() else { return Ok(proxy) };
    let mut builder = Proxy::builder(proxy.protocol()).host(proxy.host()).port(proxy.port());
    if let Some(user) = proxy.username() {
        builder = builder.username(user);
    }
    if let Some(password) = proxy.password() {
        builder = builder.password(password);
    }
    for expression in excluded.split(',').map(str::trim).filter(|expression| !expression.is_empty()) {
        builder = builder.no_proxy(expression);
    }
    builder.build().map_err(wrong)
}
