//! What of a message may be written down at all: decided before the journal, so that no disk ever sees the rest.
//!
//! Passwords typed into `getpass` are dropped with their length and replaced in later outputs. Replies that hold code
//! of other projects (history) or are bulky and say nothing about the result (completion, inspection, debugger) are
//! left out.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use serde::Deserialize;

use super::widgets::by_digest;
use crate::event::{Channel, Direction, MessageRecord};

/// A secret shorter than this is not looked for in outputs: it would match by chance.
const SHORTEST_SECRET: usize = 6;
/// A larger state of a widget is not kept, and a larger buffer by its length only: this is on the message's way.
const LARGEST_STATE: usize = 1 << 20;
const MASK: &str = "[masked by nbpack]";
/// What stands in the record for the answer to a password question.
const MASKED_REPLY: &[u8] = br#"{"value":null}"#;

#[derive(Deserialize)]
struct Type {
    msg_type: String,
}

#[derive(Deserialize)]
struct Question {
    #[serde(default)]
    prompt: String,
    #[serde(default)]
    password: bool,
}

#[derive(Deserialize)]
struct Answer {
    value: String,
}

/// Whether an answer to this question must not be kept.
pub(super) fn asks_for_secret(prompt: &str, password: bool) -> bool {
    let prompt = prompt.to_lowercase();
    password
        || ["password", "passwort", "passphrase", "passcode", "token", "secret", "api key", "api_key", "apikey", "pin:"]
            .iter()
            .any(|word| prompt.contains(word))
}

/// Knows the open questions and the secrets of this session. In memory only.
#[derive(Default)]
pub(super) struct Gate {
    /// For each frontend whether its open question is one for a secret.
    open: BTreeMap<Bytes, bool>,
    /// As they stand in JSON text, both spellings.
    secrets: Vec<String>,
    /// Comms whose value is a password.
    password_widgets: BTreeSet<String>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gate").field("secrets", &self.secrets.len()).finish_non_exhaustive()
    }
}

/// The message's type, where the header says one.
pub(super) fn msg_type(message: &MessageRecord) -> Option<String> {
    message.frames.first().and_then(|header| serde_json::from_slice::<Type>(header).ok()).map(|header| header.msg_type)
}

impl Gate {
    /// The message as it may be written, or nothing. The type is as in the header.
    pub(super) fn admit(&mut self, mut message: MessageRecord, msg_type: &str) -> Option<MessageRecord> {
        let to_kernel = message.direction == Direction::ToKernel;
        let keep_buffers = match (message.channel, msg_type) {
            (Channel::Shell, "comm_open" | "comm_msg" | "comm_close") if to_kernel => true,
            (Channel::Shell, "execute_request") if to_kernel => false,
            (Channel::Shell | Channel::Control, "execute_reply") if !to_kernel => false,
            (Channel::Control, "interrupt_request" | "shutdown_request") if to_kernel => false,
            (Channel::Iopub, "comm_open" | "comm_msg" | "comm_close") => {
                if !says_of_widgets(&message, msg_type) {
                    return None;
                }
                for buffer in message.frames.iter_mut().skip(4) {
                    *buffer = named(buffer).into();
                }
                true
            }
            (Channel::Stdin, "input_request") if !to_kernel => {
                self.asked(&message);
                false
            }
            (Channel::Stdin, "input_reply") if to_kernel => {
                self.answered(&mut message);
                false
            }
            (
                Channel::Iopub,
                "status"
                | "execute_input"
                | "stream"
                | "display_data"
                | "execute_result"
                | "error"
                | "clear_output"
                | "update_display_data",
            ) => false,
            _ => return None,
        };
        if !keep_buffers {
            message.frames.truncate(4);
        }
        if msg_type.starts_with("comm_") {
            self.mask_password_widget(&mut message, msg_type);
        }
        if message.direction == Direction::ToFrontend && !self.secrets.is_empty() {
            self.mask_echoes(&mut message);
        }
        // A frame of a zmq message shares its buffer with the whole batch it came in; nothing of that is kept here.
        Some(message)
    }

    fn asked(&mut self, message: &MessageRecord) {
        let question = message.frames.get(3).and_then(|content| serde_json::from_slice::<Question>(content).ok());
        // In doubt, mask.
        let secret = question.is_none_or(|question| asks_for_secret(&question.prompt, question.password));
        self.open.insert(message.client.clone(), secret);
    }

    fn answered(&mut self, message: &mut MessageRecord) {
        if !self.open.remove(&message.client).unwrap_or(true) {
            return;
        }
        let Some(content) = message.frames.get_mut(3) else { return };
        if let Ok(Answer { value }) = serde_json::from_slice::<Answer>(content)
            && value.len() >= SHORTEST_SECRET
        {
            self.learn(&value);
        }
        *content = Bytes::from_static(MASKED_REPLY);
        // The copy of the request in the parent header says nothing secret; metadata might.
        if let Some(metadata) = message.frames.get_mut(2) {
            *metadata = Bytes::from_static(b"{}");
        }
    }

    fn learn(&mut self, secret: &str) {
        for spelling in [json_text(secret, false), json_text(secret, true)] {
            if !self.secrets.contains(&spelling) {
                self.secrets.push(spelling);
            }
        }
    }

    /// What is typed into a password widget is dropped as an answer to `getpass` is; that it was typed is kept.
    fn mask_password_widget(&mut self, message: &mut MessageRecord, msg_type: &str) {
        let Some(content) = message.frames.get_mut(3) else { return };
        let opens = msg_type == "comm_open" && memchr::memmem::find(content, b"PasswordModel").is_some();
        if !opens && self.password_widgets.is_empty() {
            return;
        }
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(content) else { return };
        let comm_id = value.get("comm_id").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        if opens {
            self.password_widgets.insert(comm_id.clone());
        }
        if !self.password_widgets.contains(&comm_id) {
            return;
        }
        let state = value.pointer_mut("/data/state").and_then(serde_json::Value::as_object_mut);
        let Some(typed) = state.and_then(|state| state.remove("value")) else { return };
        if let Some(secret) = typed.as_str().filter(|secret| secret.len() >= SHORTEST_SECRET) {
            self.learn(secret);
        }
        if typed != ""
            && let Some(data) = value.get_mut("data").and_then(serde_json::Value::as_object_mut)
        {
            data.insert("masked".to_owned(), true.into());
        }
        *content = Bytes::from(value.to_string());
    }

    fn mask_echoes(&self, message: &mut MessageRecord) {
        let Some(content) = message.frames.get_mut(3) else { return };
        let Ok(text) = std::str::from_utf8(content) else { return };
        if self.secrets.iter().any(|secret| text.contains(secret.as_str())) {
            let masked = self.secrets.iter().fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), MASK));
            *content = Bytes::from(masked);
        }
    }
}

/// Whether a comm message of the kernel says what state a widget is in. Other comms, and states too large to be worth
/// it, are left out.
fn says_of_widgets(message: &MessageRecord, msg_type: &str) -> bool {
    let content = message.frames.get(3).map(|content| &content[..]).unwrap_or_default();
    let holds = |needle: &[u8]| memchr::memmem::find(content, needle).is_some();
    content.len() <= LARGEST_STATE
        && match msg_type {
            "comm_open" => holds(b"jupyter.widget"),
            "comm_msg" => holds(b"\"update\""),
            _ => true,
        }
}

/// What stands for a widget's buffer: its digest, or its length where hashing would hold the message up.
fn named(buffer: &Bytes) -> String {
    if buffer.len() <= LARGEST_STATE { by_digest(buffer) } else { format!("{} bytes", buffer.len()) }
}

/// The text as it stands inside a JSON string; with `ascii` as Python's `json.dumps` writes it by default.
fn json_text(text: &str, ascii: bool) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    let inner = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    if !ascii {
        return inner.to_owned();
    }
    inner.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(channel: Channel, direction: Direction, msg_type: &str, content: &serde_json::Value) -> MessageRecord {
        let header = json!({"msg_id": "1", "msg_type": msg_type}).to_string();
        let frames = [header, "{}".into(), "{}".into(), content.to_string(), "buffer".into()];
        let frames = frames.into_iter().map(Bytes::from).collect();
        MessageRecord { at: 1, channel, direction, client: Bytes::from_static(b"a"), frames }
    }

    fn pass(gate: &mut Gate, message: MessageRecord) -> String {
        let kind = msg_type(&message).unwrap();
        gate.admit(message, &kind).map(|m| String::from_utf8_lossy(&m.frames.concat()).into_owned()).unwrap_or_default()
    }

    #[test]
    fn a_password_is_gone_before_the_journal_and_so_is_its_echo() {
        let mut gate = Gate::default();
        let (stdin, to, from) = (Channel::Stdin, Direction::ToFrontend, Direction::ToKernel);
        pass(&mut gate, message(stdin, to, "input_request", &json!({"prompt": "who? ", "password": true})));
        let reply = pass(&mut gate, message(stdin, from, "input_reply", &json!({"value": "hünter\"2"})));
        assert!(!reply.contains("nter"), "{reply}");
        let echo = message(Channel::Iopub, to, "stream", &json!({"name": "stdout", "text": "it is hünter\"2!"}));
        let echo = pass(&mut gate, echo);
        assert!(!echo.contains("nter") && echo.contains(MASK), "{echo}");
        let ascii = "{\"text\": \"h\\u00fcnter\\\"2\"}";
        let mut other = message(Channel::Iopub, to, "stream", &json!({}));
        other.frames[3] = Bytes::from_static(ascii.as_bytes());
        assert!(!pass(&mut gate, other).contains("nter"));
    }

    #[test]
    fn an_ordinary_answer_is_kept_and_an_unasked_one_is_not() {
        let mut gate = Gate::default();
        let (stdin, to, from) = (Channel::Stdin, Direction::ToFrontend, Direction::ToKernel);
        pass(&mut gate, message(stdin, to, "input_request", &json!({"prompt": "name? ", "password": false})));
        assert!(
            pass(&mut gate, message(stdin, from, "input_reply", &json!({"value": "somebody"}))).contains("somebody")
        );
        assert!(
            !pass(&mut gate, message(stdin, from, "input_reply", &json!({"value": "unasked"}))).contains("unasked")
        );
        pass(&mut gate, message(stdin, to, "input_request", &json!({"prompt": "API token: ", "password": false})));
        assert!(
            !pass(&mut gate, message(stdin, from, "input_reply", &json!({"value": "abcdefg"}))).contains("abcdefg")
        );
    }

    #[test]
    fn histories_and_buffers_of_outputs_stay_out() {
        let mut gate = Gate::default();
        let to = Direction::ToFrontend;
        assert_eq!(pass(&mut gate, message(Channel::Shell, to, "history_reply", &json!({"history": []}))), "");
        assert!(!pass(&mut gate, message(Channel::Iopub, to, "stream", &json!({}))).contains("buffer"));
        assert!(
            pass(&mut gate, message(Channel::Shell, Direction::ToKernel, "comm_msg", &json!({}))).contains("buffer")
        );
    }
}
