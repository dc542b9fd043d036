//! One registry: connection, tokens, redirects, and what is worth another attempt.

use std::{
    collections::BTreeMap,
    io::Read as _,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use base64::Engine as _;
use ureq::{
    Agent, Body, SendBody,
    http::{Request as HttpRequest, Response, Uri, header, uri::Authority},
};

use super::{
    RegistryError,
    agent::{Settings, agent},
    auth::{self, Challenge},
    credentials::Credential,
    reference::Reference,
};
use crate::{bundle::Progress, files::display_bytes};

/// Attempts at one thing that makes no progress.
const ATTEMPTS: u32 = 7;
/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);
/// Nobody waits longer because a registry says so.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
const REDIRECTS: u32 = 5;

/// A registry, ready to be asked.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    /// As in the reference, for messages.
    pub(super) host: String,
    /// `https://HOST[:PORT]`.
    base: String,
    /// Where the credential may be sent.
    authority: Option<Authority>,
    credential: Option<Credential>,
    /// Values of `Authorization` by scope; the registry decides what they are.
    authorizations: Mutex<BTreeMap<String, String>>,
    /// Plain HTTP is allowed also where a redirect or a token server leads.
    plain: bool,
}

/// What a request wants to do: it decides which token is needed.
#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) repository: String,
    pub(super) push: bool,
    /// Another repository to mount from.
    pub(super) from: Option<String>,
}

impl Scope {
    pub(super) fn pull(repository: &str) -> Self {
        Self { repository: repository.to_owned(), push: false, from: None }
    }

    pub(super) fn push(repository: &str) -> Self {
        Self { repository: repository.to_owned(), push: true, from: None }
    }

    fn texts(&self) -> Vec<String> {
        let actions = if self.push { "pull,push" } else { "pull" };
        let mut texts = vec![format!("repository:{}:{actions}", self.repository)];
        texts.extend(self.from.as_ref().map(|from| format!("repository:{from}:pull")));
        texts
    }
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Request<'a> {
    pub(super) method: &'static str,
    /// A path below the registry, or a whole address that the registry gave.
    pub(super) url: String,
    pub(super) scope: &'a Scope,
    pub(super) headers: Vec<(&'static str, String)>,
}

/// Why an exchange did not give an answer.
pub(super) enum Trouble {
    /// The connection was lost.
    Lost(Box<ureq::Error>),
    /// 429 or 5xx.
    Busy { status: u16, after: Option<Duration>, request: String, message: String },
    /// 401, and there is a new token now.
    Authorized,
    /// Another attempt would end in the same way.
    Final(RegistryError),
}

impl From<RegistryError> for Trouble {
    fn from(error: RegistryError) -> Self {
        Self::Final(error)
    }
}

/// Counts attempts at one thing and makes the pauses between them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    failed: u32,
    authorized: u32,
}

impl Attempts {
    /// Something moved: the next trouble is the first again.
    pub(super) fn progress(&mut self) {
        *self = Self::default();
    }

    /// Waits before the next attempt, or says why there is none.
    pub(super) fn after(
        &mut self,
        trouble: Trouble,
        client: &Client,
        progress: &dyn Progress,
    ) -> Result<(), RegistryError> {
        let host = client.host.clone();
        self.failed += 1;
        let pause = PAUSE * 2_u32.saturating_pow(self.failed - 1);
        match trouble {
            Trouble::Final(error) => Err(error),
            Trouble::Authorized => {
                self.failed -= 1;
                self.authorized += 1;
                // A token may run out in the middle; a registry that never likes one is not asked for ever.
                if self.authorized > 5 { Err(client.denied(None, String::new())) } else { Ok(()) }
            }
            Trouble::Lost(source) if self.failed >= ATTEMPTS => Err(client.unreachable(source)),
            Trouble::Lost(_) => wait(pause, progress),
            Trouble::Busy { after: Some(wait), .. } if wait > LONGEST_PAUSE => Err(RegistryError::Later { host, wait }),
            Trouble::Busy { status, request, message, .. } if self.failed >= ATTEMPTS => {
                Err(RegistryError::Busy { host, status, attempts: self.failed, request, message })
            }
            Trouble::Busy { after, .. } => wait(after.unwrap_or(pause), progress),
        }
    }
}

fn wait(pause: Duration, progress: &dyn Progress) -> Result<(), RegistryError> {
    let until = Instant::now() + pause;
    loop {
        if progress.cancelled() {
            return Err(RegistryError::Cancelled);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::park_timeout(left.min(Duration::from_millis(200)));
    }
}

impl Client {
    /// Finds out how the registry of an image is to be spoken to. Nothing secret is sent.
    pub fn connect(reference: &Reference, settings: &Settings) -> Result<Self, RegistryError> {
        let host = reference.host.clone();
        let credential = settings
            .places
            .find(reference)
            .map_err(|source| RegistryError::Credentials { host: host.clone(), source })?;
        let plain = settings.insecure || reference.is_loopback();
        let connect = |scheme: &str| -> Result<Self, RegistryError> {
            let base = format!("{scheme}://{}", reference.api_host());
            let authority = base.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned());
            let agent = agent(scheme, &reference.host, settings)?;
            let authorizations = Mutex::default();
            let credential = credential.clone();
            Ok(Self { agent, host: host.clone(), base, authority, credential, authorizations, plain })
        };
        if !plain {
            return connect("https");
        }
        // Plain HTTP first: a TLS server answers it with 400 or with something that is no HTTP.
        let client = connect("http")?;
        let mut attempts = Attempts::default();
        loop {
            match client.agent.get(format!("{}/v2/", client.base)).call() {
                Ok(answer) if answer.status().as_u16() == 400 => return connect("https"),
                Ok(_) => return Ok(client),
                Err(ureq::Error::Protocol(_)) => return connect("https"),
                Err(error) => attempts.after(client.trouble(error), &client, &())?,
            }
        }
    }

    /// Sends a request until there is an answer.
    pub(super) fn send(
        &self,
        request: &Request<'_>,
        body: &[u8],
        progress: &dyn Progress,
    ) -> Result<Response<Body>, RegistryError> {
        let mut attempts = Attempts::default();
        loop {
            let mut reader = body;
            let body = (!body.is_empty() || request.has_body())
                .then_some((&mut reader as &mut dyn std::io::Read, body.len() as u64));
            match self.exchange(request, body) {
                Ok(answer) => return Ok(answer),
                Err(trouble) => attempts.after(trouble, self, progress)?,
            }
        }
    }

    /// Sends a request once. Any answer but 401, 408, 429 and 5xx is one.
    pub(super) fn exchange(
        &self,
        request: &Request<'_>,
        mut body: Option<(&mut dyn std::io::Read, u64)>,
    ) -> Result<Response<Body>, Trouble> {
        let mut url = self.absolute(&request.url)?;
        let mut redirects = 0;
        loop {
            let mut builder = HttpRequest::builder().method(request.method).uri(url.clone());
            for (name, value) in &request.headers {
                builder = builder.header(*name, value);
            }
            let own = url.authority() == self.authority.as_ref();
            let said = self.authorization(request.scope).filter(|_| own);
            if let Some(value) = &said {
                builder = builder.header(header::AUTHORIZATION, value);
            }
            let wrong = |error: ureq::http::Error| Trouble::Final(self.unexpected(request, &error.to_string(), None));
            let answer = match body.take() {
                None => self.agent.run(builder.body(()).map_err(wrong)?),
                Some((reader, length)) => {
                    builder = builder.header(header::CONTENT_LENGTH, length);
                    self.agent.run(builder.body(SendBody::from_reader(reader)).map_err(wrong)?)
                }
            };
            let mut answer = answer.map_err(|error| self.trouble(error))?;
            let status = answer.status().as_u16();
            match status {
                301 | 302 | 303 | 307 | 308 if matches!(request.method, "GET" | "HEAD") => {
                    redirects += 1;
                    let to = location(&answer).filter(|_| redirects <= REDIRECTS);
                    let to = to.ok_or_else(|| self.unexpected(request, "a redirect that leads nowhere", None))?;
                    url = self.relative(&url, &to)?;
                }
                401 if own => return Err(self.authorize(request, said.as_deref(), &mut answer)),
                408 | 429 | 500 | 502 | 503 | 504 => {
                    let after = answer.headers().get(header::RETRY_AFTER).and_then(|value| value.to_str().ok());
                    let after = after.and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
                    let message = message(&mut answer);
                    return Err(Trouble::Busy { status, after, request: request.shown(), message });
                }
                _ => return Ok(answer),
            }
        }
    }

    /// Says which way was tried: it may be the proxy that is not there.
    pub(super) fn unreachable(&self, source: Box<ureq::Error>) -> RegistryError {
        let is_on_the_way = |proxy: &&ureq::Proxy| !self.base.parse().is_ok_and(|uri: Uri| proxy.is_no_proxy(&uri));
        let proxy = self.agent.config().proxy().filter(is_on_the_way);
        let proxy = proxy.map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        RegistryError::Unreachable { host: self.host.clone(), proxy, source }
    }

    /// What an error of the connection means.
    fn trouble(&self, error: ureq::Error) -> Trouble {
        use std::io::ErrorKind;
        let host = self.host.clone();
        let refused = |error: ureq::Error| {
            let text = format!("{error:?}");
            if !self.plain && (text.contains("InvalidContentType") || text.contains("InvalidMessage")) {
                Trouble::Final(RegistryError::Insecure { host: host.clone() })
            } else {
                Trouble::Final(self.unreachable(Box::new(error)))
            }
        };
        match error {
            // TLS tells its errors as invalid data.
            ureq::Error::Io(error) if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                refused(ureq::Error::Io(error))
            }
            ureq::Error::Io(_) | ureq::Error::Timeout(_) | ureq::Error::Protocol(_) | ureq::Error::ConnectionFailed => {
                Trouble::Lost(Box::new(error))
            }
            error => refused(error),
        }
    }

    fn authorization(&self, scope: &Scope) -> Option<String> {
        let key = scope.texts().join(" ");
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
    }

    /// Does what a 401 asks for; `said` is what the request had said already.
    fn authorize(&self, request: &Request<'_>, said: Option<&str>, answer: &mut Response<Body>) -> Trouble {
        let values: Vec<String> = answer
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok().map(str::to_owned))
            .collect();
        let denied = |answer: &mut Response<Body>| Trouble::Final(self.denied(Some(request.scope), message(answer)));
        let Some(challenge) = auth::challenge(values.iter().map(String::as_str)) else { return denied(answer) };
        let value = match (challenge, &self.credential) {
            (Challenge::Basic, Some(Credential::Password { user, password })) => basic(user, password),
            (Challenge::Basic, _) => return denied(answer),
            (Challenge::Bearer { realm, service }, credential) => {
                match self.token(&realm, service.as_deref(), request, credential.as_ref()) {
                    Ok(token) => format!("Bearer {token}"),
                    Err(trouble) => return trouble,
                }
            }
        };
        // The same name and password again: they are not the right ones.
        if said == Some(&value) {
            return denied(answer);
        }
        let key = request.scope.texts().join(" ");
        self.authorizations.lock().unwrap_or_else(PoisonError::into_inner).insert(key, value);
        Trouble::Authorized
    }

    /// Fetches a token ("Token Authentication Specification"; "OAuth2 Token Authentication" for identity tokens).
    fn token(
        &self,
        realm: &str,
        service: Option<&str>,
        request: &Request<'_>,
        credential: Option<&Credential>,
    ) -> Result<String, Trouble> {
        let realm: Uri = realm.parse().map_err(|_| self.unexpected(request, "a token server without address", None))?;
        self.check_scheme(&realm)?;
        let mut fields: Vec<(&str, String)> = Vec::new();
        fields.extend(service.map(|service| ("service", service.to_owned())));
        let answer = if let Some(Credential::IdentityToken(token)) = credential {
            fields.push(("grant_type", "refresh_token".to_owned()));
            fields.push(("client_id", "nbpack".to_owned()));
            fields.push(("refresh_token", token.clone()));
            fields.push(("scope", request.scope.texts().join(" ")));
            let form = HttpRequest::post(realm)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(encoded(&fields));
            let form = form.map_err(|error| self.unexpected(request, &error.to_string(), None))?;
            self.agent.run(form)
        } else {
            fields.extend(request.scope.texts().into_iter().map(|scope| ("scope", scope)));
            let mark = if realm.query().is_some() { '&' } else { '?' };
            let mut get = HttpRequest::get(format!("{realm}{mark}{}", encoded(&fields)));
            if let Some(Credential::Password { user, password }) = credential {
                get = get.header(header::AUTHORIZATION, basic(user, password));
            }
            let get = get.body(()).map_err(|error| self.unexpected(request, &error.to_string(), None))?;
            self.agent.run(get)
        };
        let mut answer = answer.map_err(|error| self.trouble(error))?;
        match answer.status().as_u16() {
            200 => {}
            status @ (408 | 429 | 500 | 502 | 503 | 504) => {
                let message = message(&mut answer);
                return Err(Trouble::Busy { status, after: None, request: "GET of a token".to_owned(), message });
            }
            _ => return Err(self.denied(Some(request.scope), message(&mut answer)).into()),
        }
        let bytes = read(&mut answer, 1 << 20).map_err(|error| self.trouble(error))?;
        let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let token = ["token", "access_token"].into_iter().find_map(|key| value.get(key)?.as_str());
        let token = token.filter(|token| !token.is_empty() && token.chars().all(|c| c.is_ascii_graphic()));
        token
            .map(str::to_owned)
            .ok_or_else(|| self.unexpected(request, "a token server that gives no token", None).into())
    }

    fn absolute(&self, url: &str) -> Result<Uri, RegistryError> {
        let text = if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        let uri = text.parse::<Uri>().map_err(|_| self.bad_address(url))?;
        self.check_scheme(&uri)?;
        Ok(uri)
    }

    /// The address that `to` means when it is found at `from`.
    fn relative(&self, from: &Uri, to: &str) -> Result<Uri, RegistryError> {
        if to.starts_with('/') && !to.starts_with("//") {
            let host = from.authority().map_or("", Authority::as_str);
            return self.absolute(&format!("{}://{host}{to}", from.scheme_str().unwrap_or("https")));
        }
        self.absolute(to)
    }

    fn bad_address(&self, url: &str) -> RegistryError {
        let found = format!("the address `{}`", display_bytes(url.as_bytes()));
        RegistryError::Unexpected {
            host: self.host.clone(),
            request: "a request".to_owned(),
            found,
            message: String::new(),
        }
    }

    /// No credential and no code goes over a plain connection unless that was allowed.
    fn check_scheme(&self, uri: &Uri) -> Result<(), RegistryError> {
        match uri.scheme_str() {
            Some("https") => Ok(()),
            Some("http") if self.plain => Ok(()),
            Some("http") => Err(RegistryError::Insecure { host: uri.host().unwrap_or_default().to_owned() }),
            _ => Err(self.bad_address(&uri.to_string())),
        }
    }

    /// An answer that is none of the expected ones.
    pub(super) fn unexpected(
        &self,
        request: &Request<'_>,
        found: &str,
        answer: Option<&mut Response<Body>>,
    ) -> RegistryError {
        let message = answer.map(message).unwrap_or_default();
        RegistryError::Unexpected {
            host: self.host.clone(),
            request: request.shown(),
            found: found.to_owned(),
            message,
        }
    }

    /// The error for a status that the caller does not expect.
    pub(super) fn refused(&self, request: &Request<'_>, answer: &mut Response<Body>) -> RegistryError {
        match answer.status().as_u16() {
            401 | 403 => self.denied(Some(request.scope), message(answer)),
            status => self.unexpected(request, &status.to_string(), Some(answer)),
        }
    }

    fn denied(&self, scope: Option<&Scope>, message: String) -> RegistryError {
        let who = match &self.credential {
            None => "you (no credentials found)".to_owned(),
            Some(Credential::Password { user, .. }) => format!("the user {user}"),
            Some(Credential::IdentityToken(_)) => "the owner of this identity token".to_owned(),
        };
        RegistryError::Denied {
            host: self.host.clone(),
            who,
            action: if scope.is_some_and(|scope| scope.push) { "push to" } else { "pull from" },
            repository: scope.map(|scope| scope.repository.clone()).unwrap_or_default(),
            message,
        }
    }
}

impl Request<'_> {
    /// For messages: without the query, which may hold a signature.
    fn shown(&self) -> String {
        let path = self.url.split('?').next().unwrap_or_default();
        format!("{} {}", self.method, display_bytes(path.as_bytes()))
    }

    fn has_body(&self) -> bool {
        matches!(self.method, "POST" | "PUT" | "PATCH")
    }
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
}

fn encoded(fields: &[(&str, String)]) -> String {
    let pairs: Vec<String> = fields.iter().map(|(key, value)| format!("{key}={}", auth::escape(value))).collect();
    pairs.join("&")
}

pub(super) fn location(answer: &Response<Body>) -> Option<String> {
    answer.headers().get(header::LOCATION)?.to_str().ok().map(str::to_owned)
}

/// Reads an answer of at most `limit` bytes.
pub(super) fn read(answer: &mut Response<Body>, limit: u64) -> Result<Vec<u8>, ureq::Error> {
    let mut bytes = Vec::new();
    answer.body_mut().as_reader().take(limit + 1).read_to_end(&mut bytes).map_err(ureq::Error::Io)?;
    if bytes.len() as u64 > limit {
        let text = format!("the answer is longer than {limit} bytes");
        return Err(ureq::Error::Io(std::io::Error::new(std::io::ErrorKind::InvalidData, text)));
    }
    Ok(bytes)
}

/// What a registry says about an error (distribution-spec, "Error Codes"), after a colon.
pub(super) fn message(answer: &mut Response<Body>) -> String {
    let bytes = read(answer, 64 << 10).unwrap_or_default();
    let value: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
    let Some(error) = value.get("errors").and_then(|errors| errors.get(0)) else { return String::new() };
    let field = |name: &str| error.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let text: String = format!("{} {}", field("code"), field("message")).trim().chars().take(300).collect();
    if text.is_empty() { text } else { format!(": {}", display_bytes(text.as_bytes())) }
}
