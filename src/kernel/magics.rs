//! `%nbpack …` in a cell: the one documented exception to "bytes in are bytes out".
//!
//! The request goes to the kernel with the same header, empty and silent, so that the kernel itself sends busy, idle
//! and reply at the right place of its queue (order, subshells, abort and several clients come out right). Our text
//! is published just before its idle.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::Value;

use super::zmtp::Message;
use crate::jupyter::wire::{self, Header, Signed, SigningKey};

/// What `%nbpack` lines are answered with.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MagicAnswer {
    /// Shown as the cell's standard output; nothing when empty.
    pub text: String,
}

/// Answers cells that consist of `%nbpack` lines.
pub trait Magics: Send + Sync {
    /// `lines` is the cell's code. Called on a thread that may block.
    fn answer(&self, lines: &str) -> MagicAnswer;
}

/// More unanswered magics than this are not looked after.
const MOST: usize = 1000;

/// A substituted request whose idle or reply has not come yet.
struct Pending {
    /// The header frame of the request, the parent of what we publish.
    header: Bytes,
    code: String,
    replied: bool,
    aborted: bool,
}

/// The magics under way.
pub(super) struct Substitution {
    magics: Arc<dyn Magics>,
    key: SigningKey,
    state: Mutex<State>,
    pub(super) replied: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    pending: BTreeMap<String, Pending>,
    /// The execution count of the last reply that was not to a magic.
    count: Option<i64>,
}

/// What is to be done with an iopub message.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Iopub {
    /// Nothing special.
    Forward,
    /// It says that an empty cell was executed, which no frontend asked for.
    Drop,
    /// The idle of the magic with this `msg_id`.
    Idle(String),
}

#[derive(Deserialize)]
struct ReplyContent<'a> {
    #[serde(borrow, default)]
    status: Option<std::borrow::Cow<'a, str>>,
    #[serde(default)]
    execution_count: Option<i64>,
}

impl Substitution {
    pub(super) fn new(magics: Arc<dyn Magics>, key: SigningKey) -> Self {
        Self { magics, key, state: Mutex::default(), replied: tokio::sync::Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The silent request that goes to the kernel instead of a magic; `None` for every other message.
    pub(super) fn request(&self, message: &Message) -> Option<Message> {
        let (identities, Signed { parts: [header, parent_header, metadata, content], buffers, .. }) =
            wire::split(message).ok()?;
        memchr::memmem::find(&content, b"%nbpack")?;
        let parsed = wire::parse_header(&header).ok().filter(|header| header.msg_type == "execute_request")?;
        let mut content: Value = serde_json::from_slice(&content).ok()?;
        let code = content.get("code")?.as_str().filter(|code| is_magic(code))?.to_owned();
        let object = content.as_object_mut()?;
        object.insert("code".to_owned(), "".into());
        object.insert("silent".to_owned(), true.into());
        object.insert("store_history".to_owned(), false.into());
        object.insert("user_expressions".to_owned(), serde_json::json!({}));
        let mut state = self.state();
        if state.pending.len() >= MOST {
            return None;
        }
        let pending = Pending { header: header.clone(), code, replied: false, aborted: false };
        state.pending.insert(parsed.msg_id, pending);
        let mut frames = identities;
        frames.extend(wire::join(
            &self.key,
            [header, parent_header, metadata, Bytes::from(content.to_string())],
            buffers,
        ));
        Some(frames)
    }

    /// Looks at a shell message of the kernel; the reply to a magic is changed to carry the last execution count.
    pub(super) fn reply(&self, message: &Message) -> Option<Message> {
        let (identities, Signed { parts: [header, parent_header, metadata, content], buffers, .. }) =
            wire::split(message).ok()?;
        wire::parse_header(&header).ok().filter(|header| header.msg_type == "execute_reply")?;
        let parent = wire::parse_header(&parent_header).ok()?;
        let reply: ReplyContent<'_> = serde_json::from_slice(&content).ok()?;
        let mut state = self.state();
        let count = state.count;
        let Some(pending) = state.pending.get_mut(&parent.msg_id) else {
            state.count = reply.execution_count.or(count);
            return None;
        };
        pending.replied = true;
        pending.aborted = reply.status.as_deref() != Some("ok");
        self.replied.notify_waiters();
        let (Some(count), Some(found)) = (count, reply.execution_count) else { return None };
        if count == found {
            return None;
        }
        let mut content: Value = serde_json::from_slice(&content).ok()?;
        content.as_object_mut()?.insert("execution_count".to_owned(), count.into());
        let parts = [header, parent_header, metadata, Bytes::from(content.to_string())];
        let mut frames = identities;
        frames.extend(wire::join(&self.key, parts, buffers));
        Some(frames)
    }

    /// What to do with an iopub message of type `msg_type`.
    pub(super) fn iopub(&self, msg_type: &str, parent_header: &[u8], idle: bool) -> Iopub {
        let state = self.state();
        if state.pending.is_empty() || !(idle || msg_type == "execute_input") {
            return Iopub::Forward;
        }
        let Ok(parent) = wire::parse_header(parent_header) else { return Iopub::Forward };
        match state.pending.contains_key(&parent.msg_id) {
            false => Iopub::Forward,
            true if idle => Iopub::Idle(parent.msg_id),
            true => Iopub::Drop,
        }
    }

    /// Whether the reply to this magic has come.
    pub(super) fn has_reply(&self, msg_id: &str) -> bool {
        self.state().pending.get(msg_id).is_none_or(|pending| pending.replied)
    }

    /// Answers a magic and forgets it: the message to publish, if any. Blocks as long as the answer takes.
    pub(super) fn answer(&self, msg_id: &str, session: &str) -> Option<Message> {
        let pending = self.state().pending.remove(msg_id)?;
        if pending.aborted {
            return None;
        }
        let mut text = self.magics.answer(&pending.code).text;
        if text.is_empty() {
            return None;
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        let header = Header {
            msg_id: wire::fresh_id(),
            msg_type: "stream".to_owned(),
            session: session.to_owned(),
            username: "nbpack".to_owned(),
            date: Some(crate::event::now()),
            version: "5.3".to_owned(),
            subshell_id: None,
        };
        let content = serde_json::json!({"name": "stdout", "text": text});
        let mut frames = vec![Bytes::from_static(b"stream.stdout")];
        let metadata = serde_json::json!({});
        frames.extend(wire::message(&self.key, &header, &pending.header, &metadata, &content, Vec::new()));
        Some(frames)
    }
}

/// Whether all lines that are not blank begin with `%nbpack`.
fn is_magic(code: &str) -> bool {
    let mut lines = code.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    lines.peek().is_some()
        && lines.all(|line| line.strip_prefix("%nbpack").is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;
    impl Magics for Echo {
        fn answer(&self, lines: &str) -> MagicAnswer {
            MagicAnswer { text: format!("asked: {lines}") }
        }
    }

    fn substitution() -> Substitution {
        Substitution::new(Arc::new(Echo), SigningKey::new("k", "").unwrap())
    }

    fn message(msg_type: &str, id: &str, parent: &str, content: &Value) -> Message {
        let header = Header { msg_id: id.to_owned(), msg_type: msg_type.to_owned(), ..Header::default() };
        let parent = format!("{{\"msg_id\":\"{parent}\"}}");
        let key = SigningKey::new("k", "").unwrap();
        wire::message(&key, &header, parent.as_bytes(), &serde_json::json!({"cellId": "c"}), content, Vec::new())
    }

    fn request(code: &str) -> Message {
        let content = serde_json::json!({"code": code, "silent": false, "store_history": true, "stop_on_error": true});
        message("execute_request", "m1", "", &content)
    }

    #[test]
    fn only_cells_of_nothing_but_magics_are_magics() {
        for (code, yes) in [
            ("%nbpack status", true),
            ("\n  %nbpack note a\n\n%nbpack\n", true),
            ("%nbpack status\n1", false),
            ("%nbpackx", false),
            ("print('%nbpack')", false),
            ("", false),
        ] {
            assert_eq!(is_magic(code), yes, "{code}");
            assert_eq!(substitution().request(&request(code)).is_some(), yes, "{code}");
        }
    }

    #[test]
    fn the_kernel_gets_a_silent_request_with_the_same_header() {
        let sent = request("%nbpack status");
        let substituted = substitution().request(&sent).unwrap();
        let ((_, before), (_, after)) = (wire::split(&sent).unwrap(), wire::split(&substituted).unwrap());
        assert_eq!(before.parts[..3], after.parts[..3]);
        let content: Value = serde_json::from_slice(&after.parts[3]).unwrap();
        assert_eq!(
            (&content["code"], &content["silent"], &content["stop_on_error"]),
            (&"".into(), &true.into(), &true.into())
        );
        let key = SigningKey::new("k", "").unwrap();
        assert_eq!(after.signature, key.sign(std::array::from_fn(|i| after.parts[i].as_ref())));
    }

    #[test]
    fn the_answer_has_the_request_as_parent_and_the_reply_the_last_count() {
        let substitution = substitution();
        let reply = |id: &str, count: i64| {
            message("execute_reply", "r", id, &serde_json::json!({"status": "ok", "execution_count": count}))
        };
        assert_eq!(substitution.reply(&reply("m0", 7)), None);
        substitution.request(&request("%nbpack status")).unwrap();
        assert_eq!(substitution.iopub("execute_input", b"{\"msg_id\":\"m1\"}", false), Iopub::Drop);
        assert_eq!(substitution.iopub("execute_input", b"{\"msg_id\":\"m2\"}", false), Iopub::Forward);
        let changed = substitution.reply(&reply("m1", 8)).unwrap();
        assert!(String::from_utf8_lossy(&wire::split(&changed).unwrap().1.parts[3]).contains("\"execution_count\":7"));
        assert_eq!(substitution.iopub("status", b"{\"msg_id\":\"m1\"}", true), Iopub::Idle("m1".to_owned()));
        let stream = substitution.answer("m1", "s").unwrap();
        let (topic, signed) = wire::split(&stream).unwrap();
        assert_eq!(topic.len(), 1);
        assert_eq!(wire::parse_header(&signed.parts[1]).unwrap().msg_id, "m1");
        assert!(String::from_utf8_lossy(&signed.parts[3]).contains("asked: %nbpack status\\n"));
        assert_eq!(substitution.iopub("status", b"{\"msg_id\":\"m1\"}", true), Iopub::Forward);
    }

    #[test]
    fn an_aborted_magic_says_nothing() {
        let substitution = substitution();
        substitution.request(&request("%nbpack status")).unwrap();
        substitution.reply(&message("execute_reply", "r", "m1", &serde_json::json!({"status": "aborted"})));
        assert!(substitution.has_reply("m1"));
        assert_eq!(substitution.answer("m1", "s"), None);
    }
}
