//! The comm target `nbpack`: the frontend asks the proxy, not the kernel, and is answered at once.
//!
//! Messages of such a comm are neither forwarded nor recorded: they are no part of what notebook and kernel said to
//! each other, and a kernel closes comms of targets that it does not know. Only what is signed with the session's key
//! is taken; the rest goes to the kernel, which throws it away.
//!
//! An answer is a `comm_msg` with the request as its parent. No `busy` and no `idle` stand around it: frontends would
//! take them for the kernel's.

use std::{
    collections::BTreeSet,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};

use super::zmtp::Message;
use crate::jupyter::wire::{self, Header, Signed, SigningKey};

/// The comm's `target_name`.
pub const TARGET: &str = "nbpack";

/// More comms of a frontend that forgets to close them are not looked after.
const MOST_COMMS: usize = 1000;
/// So many requests are answered at a time; who asks for more is told so.
const MOST_AT_ONCE: usize = 8;
/// A frontend may ask before the kernel has said its first word.
const FIRST_WORD: Duration = Duration::from_secs(60);

/// Answers what a frontend asks the proxy.
pub trait Panel: Send + Sync {
    /// Answers one request: the `data` of a `comm_msg`. Called on a thread of its own, which may block.
    ///
    /// `say` sends `data` to the frontends, as often as there is something to say; it is false once nobody listens any
    /// more, and the answer is to be given up.
    fn answer(&self, request: &Value, say: &mut dyn FnMut(Value) -> bool);
}

/// What is done with a message of a frontend's on the shell channel.
#[derive(Debug)]
pub(super) enum Taken {
    /// It is not for us.
    NotOurs,
    /// It was, and nothing more is to be done.
    Done,
    /// It asks something.
    Question(Question),
}

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Question {
    /// The header frame of the request, the parent of the answer.
    header: Bytes,
    comm_id: String,
    data: Value,
}

/// The comms with this target.
pub(super) struct Comms {
    panel: Arc<dyn Panel>,
    key: SigningKey,
    state: Mutex<State>,
    spoken: Condvar,
}

#[derive(Default)]
struct State {
    open: BTreeSet<String>,
    answering: usize,
    /// `header.session` of what the kernel said last on iopub. Frontends take a change of it for a restart, and throw
    /// away what they were about to show: so ours is the kernel's.
    session: String,
}

#[derive(Deserialize)]
struct Content {
    comm_id: String,
    #[serde(default)]
    target_name: Option<String>,
    #[serde(default)]
    data: Value,
}

impl Comms {
    pub(super) fn new(panel: Arc<dyn Panel>, key: SigningKey) -> Self {
        Self { panel, key, state: Mutex::default(), spoken: Condvar::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what the kernel says who it is.
    pub(super) fn spoke(&self, session: &str) {
        let mut state = self.state();
        if state.session != session {
            session.clone_into(&mut state.session);
            self.spoken.notify_all();
        }
    }

    /// Looks at a message on its way to the kernel.
    pub(super) fn take(&self, message: &Message) -> Taken {
        self.look(message).unwrap_or(Taken::NotOurs)
    }

    fn look(&self, message: &Message) -> Option<Taken> {
        let (_, signed) = wire::split(message).ok()?;
        let Signed { signature, parts: [header, parent_header, metadata, content], .. } = signed;
        memchr::memmem::find(&header, b"comm_")?;
        let msg_type = wire::parse_header(&header).ok()?.msg_type;
        if !matches!(msg_type.as_str(), "comm_open" | "comm_msg" | "comm_close") {
            return None;
        }
        let found: Content = serde_json::from_slice(&content).ok()?;
        let opens = msg_type == "comm_open";
        let ours = if opens {
            found.target_name.as_deref() == Some(TARGET)
        } else {
            self.state().open.contains(&found.comm_id)
        };
        let expected = self.key.sign([&header, &parent_header, &metadata, &content]);
        if !ours || !is_equal(expected.as_bytes(), &signature) {
            return None;
        }
        let mut state = self.state();
        match msg_type.as_str() {
            "comm_open" if state.open.len() < MOST_COMMS => drop(state.open.insert(found.comm_id)),
            "comm_close" => drop(state.open.remove(&found.comm_id)),
            "comm_msg" => {
                return Some(Taken::Question(Question { header, comm_id: found.comm_id, data: found.data }));
            }
            _ => {}
        }
        Some(Taken::Done)
    }

    /// Answers; each message goes to `publish`. Blocks as long as that takes.
    pub(super) fn answer(&self, question: &Question, publish: &dyn Fn(&Message)) {
        let session = {
            let wait = |state: &mut State| state.session.is_empty();
            let waited = self.spoken.wait_timeout_while(self.state(), FIRST_WORD, wait);
            let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
            state.answering += 1;
            (state.answering <= MOST_AT_ONCE).then(|| state.session.clone())
        };
        match session {
            Some(session) => self.panel.answer(&question.data, &mut |data| {
                let open = self.state().open.contains(&question.comm_id);
                if open {
                    publish(&self.message(question, &session, &data));
                }
                open
            }),
            None => {
                let session = self.state().session.clone();
                let error = json!({"error": {"message": "nbpack is busy with earlier requests"}});
                publish(&self.message(question, &session, &error));
            }
        }
        self.state().answering -= 1;
    }

    fn message(&self, question: &Question, session: &str, data: &Value) -> Message {
        let header = Header {
            msg_id: wire::fresh_id(),
            msg_type: "comm_msg".to_owned(),
            session: session.to_owned(),
            username: "nbpack".to_owned(),
            date: Some(crate::event::now()),
            version: "5.3".to_owned(),
            subshell_id: None,
        };
        let content = json!({"comm_id": question.comm_id, "data": data});
        let mut frames = vec![Bytes::from(format!("comm-{}", question.comm_id))];
        frames.extend(wire::message(&self.key, &header, &question.header, &json!({}), &content, Vec::new()));
        frames
    }
}

/// Compares signatures without telling by the time where they differ.
fn is_equal(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Echo;

    impl Panel for Echo {
        fn answer(&self, request: &Value, say: &mut dyn FnMut(Value) -> bool) {
            say(json!({"asked": request}));
        }
    }

    fn key() -> SigningKey {
        SigningKey::new("k", "").unwrap()
    }

    fn message(key: &SigningKey, msg_type: &str, content: &Value) -> Message {
        let header = Header { msg_id: "m1".to_owned(), msg_type: msg_type.to_owned(), ..Header::default() };
        wire::message(key, &header, b"{}", &json!({}), content, Vec::new())
    }

    fn comms() -> Comms {
        let comms = Comms::new(Arc::new(Echo), key());
        comms.spoke("the kernel's");
        comms
    }

    #[test]
    fn only_comms_of_our_target_are_taken() {
        let comms = comms();
        let ask = message(&key(), "comm_msg", &json!({"comm_id": "c", "data": {"ask": "status"}}));
        assert!(matches!(comms.take(&ask), Taken::NotOurs), "not open yet");
        let other = json!({"comm_id": "c", "target_name": "jupyter.widget", "data": {}});
        assert!(matches!(comms.take(&message(&key(), "comm_open", &other)), Taken::NotOurs));
        let open = message(&key(), "comm_open", &json!({"comm_id": "c", "target_name": "nbpack", "data": {}}));
        assert!(matches!(comms.take(&open), Taken::Done));
        assert!(matches!(comms.take(&ask), Taken::Question(_)));
        let close = message(&key(), "comm_close", &json!({"comm_id": "c", "data": {}}));
        assert!(matches!(comms.take(&close), Taken::Done));
        assert!(matches!(comms.take(&ask), Taken::NotOurs));
    }

    #[test]
    fn what_is_not_signed_with_the_key_is_not_ours() {
        let foreign = SigningKey::new("another", "").unwrap();
        let open = json!({"comm_id": "c", "target_name": "nbpack"});
        assert!(matches!(comms().take(&message(&foreign, "comm_open", &open)), Taken::NotOurs));
        assert!(matches!(comms().take(&vec![Bytes::from_static(b"<IDS|MSG>")]), Taken::NotOurs));
    }

    #[test]
    fn the_answer_has_the_request_as_parent_and_the_kernels_session() {
        let comms = comms();
        comms.take(&message(&key(), "comm_open", &json!({"comm_id": "c", "target_name": "nbpack"})));
        let ask = message(&key(), "comm_msg", &json!({"comm_id": "c", "data": 7}));
        let Taken::Question(question) = comms.take(&ask) else { panic!("not taken") };
        let said = Mutex::new(Vec::new());
        comms.answer(&question, &|message| said.lock().unwrap().push(message.clone()));
        let said = said.into_inner().unwrap();
        let [message] = said.as_slice() else { panic!("{} messages", said.len()) };
        let (topic, signed) = wire::split(message).unwrap();
        assert_eq!(topic, ["comm-c"]);
        assert_eq!(wire::parse_header(&signed.parts[1]).unwrap().msg_id, "m1");
        let header = wire::parse_header(&signed.parts[0]).unwrap();
        assert_eq!((header.msg_type.as_str(), header.session.as_str()), ("comm_msg", "the kernel's"));
        let content: Value = serde_json::from_slice(&signed.parts[3]).unwrap();
        assert_eq!(content, json!({"comm_id": "c", "data": {"asked": 7}}));
        let parts: [&[u8]; 4] = std::array::from_fn(|i| signed.parts[i].as_ref());
        assert_eq!(signed.signature, key().sign(parts));
    }

    #[test]
    fn a_closed_comm_is_told_nothing_more() {
        let comms = comms();
        comms.take(&message(&key(), "comm_open", &json!({"comm_id": "c", "target_name": "nbpack"})));
        let ask = message(&key(), "comm_msg", &json!({"comm_id": "c", "data": 7}));
        let Taken::Question(question) = comms.take(&ask) else { panic!("not taken") };
        comms.take(&message(&key(), "comm_close", &json!({"comm_id": "c"})));
        comms.answer(&question, &|_| panic!("said something"));
    }
}
