//! One blob up (distribution-spec, "Pushing Blobs"): looked for, mounted from another repository, or sent.
//!
//! A small blob is one PUT. A large one goes in chunks, and after a lost connection the registry is asked how far it
//! got; where it cannot tell (some forget an upload that broke inside a chunk), the blob starts anew.

use std::io::{self, Read};

use ureq::{
    Body,
    http::{Response, header},
};

use super::{
    RegistryError,
    auth::escape,
    client::{Attempts, Client, Request, Scope, Trouble, location},
};
use crate::{bundle::Progress, digest::Digest};

/// Bytes of one request at most; a smaller blob is sent whole.
const CHUNK: u64 = 16 << 20;

/// What had to be done for a blob.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sent {
    /// The repository had it.
    There,
    /// Another repository had it.
    Mounted,
    /// It was sent.
    Uploaded,
}

/// A blob to be sent, readable from any byte on.
pub(super) struct Source<'a> {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) open: &'a dyn Fn(u64) -> Result<Box<dyn Read + 'a>, RegistryError>,
}

/// Sees to it that `repository` has a blob. `from` is another repository that may have it.
pub(super) fn blob(
    client: &Client,
    repository: &str,
    source: &Source<'_>,
    from: Option<&str>,
    progress: &dyn Progress,
) -> Result<Sent, RegistryError> {
    let scope = Scope::push(repository);
    let digest = source.digest;
    let head =
        Request { method: "HEAD", url: format!("/v2/{repository}/blobs/{digest}"), scope: &scope, headers: Vec::new() };
    let mut answer = client.send(&head, &[], progress)?;
    match answer.status().as_u16() {
        200 => {
            progress.bytes(source.size);
            return Ok(Sent::There);
        }
        404 => {}
        _ => return Err(client.refused(&head, &mut answer)),
    }
    let mut upload = Upload { client, scope: &scope, source, progress, told: 0, chunked: source.size > CHUNK };
    let mut attempts = Attempts::default();
    let mut from = from.filter(|from| *from != repository);
    loop {
        match upload.attempt(from, &mut attempts) {
            Ok(sent) => return Ok(sent),
            Err(trouble) => {
                // Mounting is tried once: who does not have it will not have it a moment later. A token is no answer.
                from = from.filter(|_| matches!(trouble, Trouble::Authorized));
                attempts.after(trouble, client, progress)?;
            }
        }
    }
}

struct Upload<'a, 's> {
    client: &'a Client,
    scope: &'a Scope,
    source: &'a Source<'s>,
    progress: &'a dyn Progress,
    /// Bytes that progress was told of: a second attempt does not count them again.
    told: u64,
    chunked: bool,
}

impl<'a> Upload<'a, '_> {
    fn attempt(&mut self, from: Option<&str>, attempts: &mut Attempts) -> Result<Sent, Trouble> {
        let Some(place) = self.begin(from)? else {
            self.tell(self.source.size);
            return Ok(Sent::Mounted);
        };
        if self.chunked {
            self.send_chunks(place, attempts)?;
        } else {
            self.send_whole(&place)?;
        }
        self.tell(self.source.size);
        Ok(Sent::Uploaded)
    }

    /// Opens an upload; `None` when the blob was mounted instead.
    fn begin(&self, from: Option<&str>) -> Result<Option<String>, Trouble> {
        let repository = &self.scope.repository;
        let mut url = format!("/v2/{repository}/blobs/uploads/");
        let mut scope = self.scope.clone();
        if let Some(from) = from {
            url.push_str(&format!("?mount={}&from={}", escape(&self.source.digest.to_string()), escape(from)));
            scope.from = Some(from.to_owned());
        }
        let request = Request { method: "POST", url, scope: &scope, headers: Vec::new() };
        let mut answer = match self.client.exchange(&request, Some((&mut io::empty(), 0))) {
            // We may push here, and not read there: no mount then.
            Err(Trouble::Final(RegistryError::Denied { .. })) if from.is_some() => return self.begin(None),
            answer => answer?,
        };
        match answer.status().as_u16() {
            201 => Ok(None),
            202 => location(&answer)
                .map(Some)
                .ok_or_else(|| self.client.unexpected(&request, "202 without a location", None).into()),
            _ if from.is_some() => self.begin(None),
            _ => Err(self.client.refused(&request, &mut answer).into()),
        }
    }

    fn send_whole(&mut self, place: &str) -> Result<(), Trouble> {
        let request = self.request("PUT", finished(place, &self.source.digest));
        let answer = self.send_part(&request, 0, self.source.size)?;
        self.created(&request, answer)
    }

    /// Sends some bytes of the blob as the body of a request.
    fn send_part(&mut self, request: &Request<'_>, offset: u64, length: u64) -> Result<Response<Body>, Trouble> {
        let client = self.client;
        let inner = (self.source.open)(offset)?.take(length);
        let mut reader = Counted { inner, sent: offset, upload: self };
        client.exchange(request, Some((&mut reader, length)))
    }

    fn send_chunks(&mut self, mut place: String, attempts: &mut Attempts) -> Result<(), Trouble> {
        let mut offset = 0;
        while offset < self.source.size {
            let length = CHUNK.min(self.source.size - offset);
            let mut request = self.request("PATCH", place.clone());
            request.headers.push(("content-range", format!("{offset}-{}", offset + length - 1)));
            match self.send_part(&request, offset, length) {
                Ok(answer) if answer.status().as_u16() == 202 => {
                    place = location(&answer).unwrap_or(place);
                    offset += length;
                    attempts.progress();
                }
                Ok(mut answer) => {
                    let status = answer.status().as_u16();
                    let refused = self.client.refused(&request, &mut answer);
                    if matches!(status, 400 | 404 | 405 | 416) {
                        // It takes no chunks, or forgot the upload: as one request from now on.
                        self.chunked = false;
                        return Err(self.anew(status, &request));
                    }
                    return Err(refused.into());
                }
                Err(trouble @ (Trouble::Lost(_) | Trouble::Busy { .. } | Trouble::Authorized)) => {
                    attempts.after(trouble, self.client, self.progress)?;
                    match self.stands_at(&place)? {
                        Some((at, next)) if at >= offset && at <= self.source.size => {
                            if at > offset {
                                attempts.progress();
                            }
                            offset = at;
                            place = next;
                        }
                        _ => return Err(self.anew(404, &request)),
                    }
                }
                Err(trouble) => return Err(trouble),
            }
        }
        let request = self.request("PUT", finished(&place, &self.source.digest));
        let answer = self.client.exchange(&request, Some((&mut io::empty(), 0)))?;
        self.created(&request, answer)
    }

    /// How many bytes the registry has of an upload; `None` when it does not know that upload any more.
    fn stands_at(&self, place: &str) -> Result<Option<(u64, String)>, Trouble> {
        let request = Request { method: "GET", url: place.to_owned(), scope: self.scope, headers: Vec::new() };
        let answer = self.client.exchange(&request, None)?;
        if !matches!(answer.status().as_u16(), 202 | 204) {
            return Ok(None);
        }
        let range = answer.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
        let last = range.and_then(|range| range.trim_start_matches("bytes=").strip_prefix("0-")?.parse::<u64>().ok());
        // `0-0` is also what a registry says that has nothing yet: one byte is not worth asking again.
        let at = last.map_or(0, |last| if last == 0 { 0 } else { last + 1 });
        Ok(Some((at, location(&answer).unwrap_or_else(|| place.to_owned()))))
    }

    fn request(&self, method: &'static str, url: String) -> Request<'a> {
        let headers = vec![("content-type", "application/octet-stream".to_owned())];
        Request { method, url, scope: self.scope, headers }
    }

    fn created(&self, request: &Request<'_>, mut answer: Response<Body>) -> Result<(), Trouble> {
        match answer.status().as_u16() {
            201 | 204 => Ok(()),
            // The upload broke off on the way and the registry forgot it.
            status @ 404 => Err(self.anew(status, request)),
            _ => Err(self.client.refused(request, &mut answer).into()),
        }
    }

    /// Another attempt from the first byte.
    fn anew(&self, status: u16, request: &Request<'_>) -> Trouble {
        Trouble::Busy {
            status,
            after: None,
            request: format!("{} of blob {}", request.method, self.source.digest),
            message: String::new(),
        }
    }

    fn tell(&mut self, sent: u64) {
        if sent > self.told {
            self.progress.bytes(sent - self.told);
            self.told = sent;
        }
    }
}

/// The address that ends an upload.
fn finished(place: &str, digest: &Digest) -> String {
    let mark = if place.contains('?') { '&' } else { '?' };
    format!("{place}{mark}digest={}", escape(&digest.to_string()))
}

/// Tells progress of each byte once.
struct Counted<'a, 'b, 's, R> {
    inner: R,
    sent: u64,
    upload: &'a mut Upload<'b, 's>,
}

impl<R: Read> Read for Counted<'_, '_, '_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.upload.progress.cancelled() {
            return Err(io::Error::other("stopped"));
        }
        let count = self.inner.read(buffer)?;
        self.sent += count as u64;
        self.upload.tell(self.sent);
        Ok(count)
    }
}
