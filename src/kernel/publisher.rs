//! The iopub socket of the front: what the kernel tells everybody, to everybody who asked.
//!
//! Each client has a queue bounded in bytes and a task of its own, so one that does not read costs the others
//! nothing: past the bound it loses whole messages, which are counted. Messages in several queues are the same memory.
//!
//! A message with a large buffer is passed on in pieces while it arrives. A client gets all of it or nothing of it, and
//! whatever else is for that client waits for its end.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::{
    sys,
    transport::{ReadHalf, WriteHalf},
    zmtp::{self, Introduction, Message, Received, ZmtpError},
};
use crate::jupyter::wire::{self, SigningKey};

/// What a client that has stopped reading may keep waiting, beyond the message that is being written to it.
const STOPPED_BYTES: u64 = 64 << 20;
/// What a client that reads, but slower than the kernel speaks, may keep waiting.
const READING_BYTES: u64 = 256 << 20;
/// A client that took nothing for so long has stopped reading. (libzmq reads on only when half of the 1,000 messages
/// it holds were taken.)
///
/// Not shorter: on a busy machine a client that wants to read may have to wait for its turn.
const STOPPED_AFTER: Duration = Duration::from_secs(3);
/// Messages of up to so many bytes (`status`, `execute_input`, `error` …) may use [`RESERVE`] beyond the bound.
const SMALL: u64 = 16 << 10;
/// See [`SMALL`].
const RESERVE: u64 = 16 << 20;

/// When so much had waited, its memory is given back as soon as nothing waits any more.
const MUCH: u64 = 8 << 20;

/// Messages of up to so many bytes in all are written at once.
const TOGETHER: u64 = 64 << 10;

/// One thing to be written to a client.
enum Outgoing {
    Message(Message),
    Command(Bytes),
    /// A part of a message as it goes over the wire.
    Raw(Bytes),
    /// The rest of the message that began will not come: the connection is of no more use.
    Broken,
}

struct Client {
    /// Prefixes with the number of times each was subscribed to.
    topics: BTreeMap<Bytes, usize>,
    /// Topics whose welcome it has had.
    greeted: BTreeSet<Bytes>,
    queue: VecDeque<Outgoing>,
    /// While a message is passed on to this client: what is to follow it.
    passing: Option<Vec<Outgoing>>,
    /// Bytes in the queue.
    waiting: u64,
    /// The most that waited since the queue was last empty.
    most: u64,
    /// A message was taken from the queue and is being written.
    writing: bool,
    /// Wakes the task that writes.
    more: Arc<Notify>,
    /// Bytes that the connection took.
    written: Arc<AtomicU64>,
    /// `written` when it was last seen to have grown, and when that was.
    progress: (u64, Instant),
    dropped: u64,
}

#[derive(Default)]
struct State {
    next_id: u64,
    clients: BTreeMap<u64, Client>,
    /// The kernel's `iopub_welcome` for each topic, and whether somebody had it.
    welcomes: BTreeMap<Bytes, (Message, bool)>,
    /// Topics that the kernel was told of.
    passed_up: BTreeSet<Bytes>,
}

/// Fans messages out to the clients of the front's iopub socket.
pub(super) struct Publisher {
    state: Mutex<State>,
    /// New topics, for the subscription on the kernel's side.
    topics: mpsc::UnboundedSender<Bytes>,
    key: SigningKey,
}

impl Publisher {
    /// `topics` is told each topic that a client is the first to subscribe to.
    pub(super) fn new(topics: mpsc::UnboundedSender<Bytes>, key: SigningKey) -> Self {
        Self { state: Mutex::new(State::default()), topics, key }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two steps that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues a message for each client that subscribed to a prefix of its first frame.
    pub(super) fn publish(&self, message: &Message) {
        let topic = message.first().cloned().unwrap_or_default();
        let mut state = self.state();
        for client in state.clients.values_mut() {
            if client.topics.keys().any(|prefix| topic.starts_with(prefix)) {
                client.offer(message);
            }
        }
    }

    /// Begins a message whose pieces follow, for the clients that subscribed to a prefix of its first frame.
    pub(super) fn begin(&self, frames: &Message) {
        let topic = frames.first().cloned().unwrap_or_default();
        let start = zmtp::beginning(frames);
        let mut state = self.state();
        for client in state.clients.values_mut() {
            if client.topics.keys().any(|prefix| topic.starts_with(prefix)) && client.has_room(u64::MAX) {
                client.push(Outgoing::Raw(start.clone()));
                client.passing = Some(Vec::new());
            }
        }
    }

    /// Passes on the next piece; after the last one clients get what waited for the message's end.
    pub(super) fn piece(&self, bytes: &Bytes, last: bool) {
        let mut state = self.state();
        for client in state.clients.values_mut() {
            let Some(after) = client.passing.take() else { continue };
            client.push(Outgoing::Raw(bytes.clone()));
            if last {
                for next in after {
                    client.push(next);
                }
            } else {
                client.passing = Some(after);
            }
        }
    }

    /// The kernel is gone: who had the beginning of a message cannot be given its end.
    pub(super) fn abandon(&self) {
        for client in self.state().clients.values_mut() {
            if client.passing.take().is_some() {
                client.push(Outgoing::Broken);
            }
        }
    }

    /// Keeps the kernel's greeting for a topic, and gives it to the clients that subscribed to it already.
    pub(super) fn welcome(&self, topic: Bytes, message: Message) {
        let mut state = self.state();
        let State { clients, welcomes, .. } = &mut *state;
        let entry = welcomes.entry(topic.clone()).or_insert((Vec::new(), false));
        *entry = (message, false);
        for client in clients.values_mut().filter(|client| client.topics.contains_key(&topic)) {
            self.greet(client, &topic, entry);
        }
    }

    /// Gives a client a topic's greeting if it has not had it.
    ///
    /// The first gets the kernel's bytes. The others get the same with an id of its own, as a kernel would send it:
    /// clients refuse a signature that they have seen.
    fn greet(&self, client: &mut Client, topic: &Bytes, (welcome, given): &mut (Message, bool)) {
        if client.greeted.insert(topic.clone()) {
            let again = if *given { renew(welcome, &self.key) } else { None };
            client.offer(again.as_ref().unwrap_or(welcome));
            *given = true;
        }
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(&self, read: ReadHalf, write: WriteHalf) -> Result<(), ZmtpError> {
        let own = Introduction { socket_type: "PUB".to_owned(), identity: Bytes::new() };
        let (peer, mut reader, mut writer) = zmtp::handshake(read, write, &own).await?;
        if !matches!(peer.socket_type.as_str(), "SUB" | "XSUB") {
            return Err(ZmtpError::Ready);
        }
        let more = Arc::new(Notify::new());
        let id = self.add(Arc::clone(&more), Arc::clone(&writer.written));
        let reading = async {
            while let Some(received) = reader.receive().await? {
                match received {
                    Received::Message(frames) => self.subscription(id, &frames),
                    Received::Command(body) => match zmtp::pong(&body) {
                        Some(pong) => self.answer(id, pong),
                        None => self.subscription_command(id, &body),
                    },
                    // Only asked for where the kernel speaks.
                    Received::Beginning(_) | Received::Piece { .. } => return Err(ZmtpError::Ready),
                }
            }
            Ok(())
        };
        let writing = async {
            loop {
                // Asked for before the queue is looked at, so that nothing queued meanwhile is slept over.
                let woken = more.notified();
                match self.next(id) {
                    Some(Outgoing::Message(message)) => {
                        let mut messages = vec![message];
                        self.take_small(id, &mut messages);
                        writer.send_all(&messages).await?;
                    }
                    Some(Outgoing::Command(body)) => writer.command(&body).await?,
                    Some(Outgoing::Raw(bytes)) => writer.raw(&bytes).await?,
                    Some(Outgoing::Broken) => return Ok(()),
                    None => woken.await,
                }
            }
        };
        let result = tokio::select! { result = reading => result, result = writing => result };
        let gone = self.state().clients.remove(&id);
        let (lost, most) = gone.map_or((0, 0), |client| (client.dropped, client.most));
        if most > MUCH {
            sys::return_free_memory();
        }
        if lost > 0 {
            say(&format!("a client that did not read lost {lost} iopub messages"));
        }
        result
    }

    fn add(&self, more: Arc<Notify>, written: Arc<AtomicU64>) -> u64 {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        let client = Client {
            topics: BTreeMap::new(),
            greeted: BTreeSet::new(),
            queue: VecDeque::new(),
            passing: None,
            waiting: 0,
            most: 0,
            writing: false,
            more,
            written,
            progress: (0, Instant::now()),
            dropped: 0,
        };
        state.clients.insert(id, client);
        id
    }

    /// Takes the next thing to write; the one before has been written.
    fn next(&self, id: u64) -> Option<Outgoing> {
        let mut state = self.state();
        let client = state.clients.get_mut(&id)?;
        let next = client.queue.pop_front();
        client.writing = next.is_some();
        client.waiting -= next.as_ref().map_or(0, Outgoing::size);
        if next.is_none() && std::mem::take(&mut client.most) > MUCH {
            drop(state);
            sys::return_free_memory();
        }
        next
    }

    /// Adds what waits behind a small message, as far as it is small too: the client is woken once for all of them.
    fn take_small(&self, id: u64, messages: &mut Vec<Message>) {
        let mut state = self.state();
        let Some(client) = state.clients.get_mut(&id) else { return };
        let mut total = messages.iter().map(size).sum::<u64>();
        while let Some(Outgoing::Message(next)) = client.queue.front() {
            total += size(next);
            if total > TOGETHER {
                return;
            }
            if let Some(Outgoing::Message(next)) = client.queue.pop_front() {
                client.waiting -= size(&next);
                messages.push(next);
            }
        }
    }

    fn answer(&self, id: u64, pong: Bytes) {
        if let Some(client) = self.state().clients.get_mut(&id) {
            client.add(Outgoing::Command(pong));
        }
    }

    /// Subscriptions as ZMTP 3.0 sends them: a message of `1` or `0` and the prefix.
    fn subscription(&self, id: u64, frames: &Message) {
        let [frame] = frames.as_slice() else { return };
        match frame.split_first() {
            Some((1, _)) => self.subscribe(id, frame.slice(1..)),
            Some((0, _)) => self.unsubscribe(id, &frame.slice(1..)),
            _ => {}
        }
    }

    /// Subscriptions as ZMTP 3.1 sends them.
    fn subscription_command(&self, id: u64, body: &Bytes) {
        if let Some(topic) = body.strip_prefix(b"\x09SUBSCRIBE") {
            self.subscribe(id, body.slice_ref(topic));
        } else if let Some(topic) = body.strip_prefix(b"\x06CANCEL") {
            self.unsubscribe(id, &body.slice_ref(topic));
        }
    }

    fn subscribe(&self, id: u64, topic: Bytes) {
        let topic = Bytes::copy_from_slice(&topic);
        let mut state = self.state();
        let State { clients, welcomes, .. } = &mut *state;
        let Some(client) = clients.get_mut(&id) else { return };
        *client.topics.entry(topic.clone()).or_default() += 1;
        if let Some(welcome) = welcomes.get_mut(&topic) {
            self.greet(client, &topic, welcome);
        }
        // "" is what the kernel's side subscribes to by itself.
        if !topic.is_empty() && state.passed_up.insert(topic.clone()) {
            // Nobody listens any more when the kernel has gone.
            self.topics.send(topic).unwrap_or_default();
        }
    }

    fn unsubscribe(&self, id: u64, topic: &Bytes) {
        let mut state = self.state();
        let Some(client) = state.clients.get_mut(&id) else { return };
        if let Some(count) = client.topics.get_mut(topic) {
            *count -= 1;
            if *count == 0 {
                client.topics.remove(topic);
                // Who subscribes anew is greeted anew.
                client.greeted.remove(topic);
            }
        }
    }

    /// Whether some client still has bytes to get.
    pub(super) fn is_busy(&self) -> bool {
        self.state().clients.values().any(|client| client.writing || !client.queue.is_empty())
    }
}

impl Outgoing {
    /// Bytes that count against the bound.
    fn size(&self) -> u64 {
        match self {
            Self::Message(message) => size(message),
            Self::Raw(bytes) => bytes.len() as u64,
            Self::Command(_) | Self::Broken => 0,
        }
    }
}

impl Client {
    /// Queues a message, or drops and counts it.
    fn offer(&mut self, message: &Message) {
        if self.has_room(size(message)) {
            self.add(Outgoing::Message(message.clone()));
        }
    }

    /// Whether the client may have a message of so many bytes; if not, it lost it.
    fn has_room(&mut self, size: u64) -> bool {
        let written = self.written.load(Ordering::Relaxed);
        if written != self.progress.0 || self.queue.is_empty() {
            self.progress = (written, Instant::now());
        }
        let bound = if self.progress.1.elapsed() < STOPPED_AFTER { READING_BYTES } else { STOPPED_BYTES };
        if self.waiting > bound {
            if bound == STOPPED_BYTES {
                self.trim(bound);
            }
            // A frontend that misses `idle` waits for ever: what is small goes last.
            if size > SMALL || self.waiting > bound + RESERVE {
                self.lose();
                return false;
            }
        }
        true
    }

    /// Queues something, behind the message that is being passed on.
    fn add(&mut self, next: Outgoing) {
        match &mut self.passing {
            Some(after) => after.push(next),
            None => self.push(next),
        }
    }

    fn push(&mut self, next: Outgoing) {
        self.waiting += next.size();
        self.most = self.most.max(self.waiting);
        self.queue.push_back(next);
        self.more.notify_one();
    }

    /// Loses large messages, the newest first, until no more than `bound` bytes wait.
    fn trim(&mut self, bound: u64) {
        let mut index = self.queue.len();
        while self.waiting > bound && index > 0 {
            index -= 1;
            if let Some(Outgoing::Message(message)) = self.queue.get(index)
                && size(message) > SMALL
            {
                self.waiting -= size(message);
                self.queue.remove(index);
                self.lose();
            }
        }
    }

    fn lose(&mut self) {
        if self.dropped == 0 {
            say("a client does not read its iopub messages; it loses some from here on");
        }
        self.dropped += 1;
    }
}

/// The same message under a new id, signed again.
fn renew(message: &Message, key: &SigningKey) -> Option<Message> {
    let (topic, wire::Signed { parts: [header, parent_header, metadata, content], buffers, .. }) =
        wire::split(message).ok()?;
    let mut header: serde_json::Value = serde_json::from_slice(&header).ok()?;
    header.as_object_mut()?.insert("msg_id".to_owned(), wire::fresh_id().into());
    let parts = [Bytes::from(header.to_string()), parent_header, metadata, content];
    Some(topic.into_iter().chain(wire::join(key, parts, buffers)).collect())
}

/// A line for whoever watches the server's terminal.
fn say(text: &str) {
    std::io::stderr().write_all(format!("nbpack: {text}\n").as_bytes()).unwrap_or_default();
}

/// Bytes of a message with what holding it costs.
fn size(message: &Message) -> u64 {
    message.iter().map(|frame| frame.len() as u64 + 64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(texts: &[&'static str]) -> Message {
        texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect()
    }

    fn publisher() -> (Publisher, mpsc::UnboundedReceiver<Bytes>) {
        let (topics, passed) = mpsc::unbounded_channel();
        (Publisher::new(topics, SigningKey::new("k", "").unwrap()), passed)
    }

    fn client(publisher: &Publisher) -> u64 {
        publisher.add(Arc::default(), Arc::default())
    }

    /// Everything in a client's queue, as if it had been written.
    fn got(publisher: &Publisher, id: u64) -> Vec<Message> {
        let mut messages = Vec::new();
        while let Some(next) = publisher.next(id) {
            if let Outgoing::Message(message) = next {
                publisher.state().clients[&id].written.fetch_add(size(&message), Ordering::Relaxed);
                messages.push(message);
            }
        }
        messages
    }

    #[test]
    fn a_client_gets_what_it_subscribed_to_and_each_is_greeted() {
        let (publisher, mut passed) = publisher();
        let one = client(&publisher);
        publisher.subscription(one, &frames(&["\x01"]));
        let welcome = frames(&["", "<IDS|MSG>", "s", "{\"msg_id\":\"w\"}", "{}", "{}", "{}"]);
        publisher.welcome(Bytes::new(), welcome.clone());
        let two = client(&publisher);
        publisher.subscription_command(two, &Bytes::from_static(b"\x09SUBSCRIBEkernel.1"));
        publisher.publish(&frames(&["kernel.1.stream", "x"]));
        publisher.publish(&frames(&["kernel.2.stream", "y"]));
        publisher.subscription(two, &frames(&["\x01"]));
        assert_eq!(
            got(&publisher, one),
            [welcome.clone(), frames(&["kernel.1.stream", "x"]), frames(&["kernel.2.stream", "y"])]
        );
        let to_two = got(&publisher, two);
        assert_eq!(to_two[0], frames(&["kernel.1.stream", "x"]));
        let (first, second) = (wire::split(&welcome).unwrap().1, wire::split(&to_two[1]).unwrap().1);
        assert_eq!(first.parts[1..], second.parts[1..]);
        assert_ne!(first.parts[0], second.parts[0], "a signature comes once");
        assert_eq!(passed.try_recv().unwrap(), "kernel.1");
        assert!(passed.try_recv().is_err(), "the empty topic is not passed up");
        publisher.subscription_command(two, &Bytes::from_static(b"\x06CANCEL"));
        publisher.publish(&frames(&["other"]));
        assert_eq!(got(&publisher, two).len(), 0);
    }

    #[test]
    fn what_is_passed_on_in_pieces_comes_whole_or_not_at_all() {
        let (publisher, _passed) = publisher();
        let (early, late, deaf) = (client(&publisher), client(&publisher), client(&publisher));
        publisher.subscription(early, &frames(&["\x01"]));
        publisher.subscription(deaf, &frames(&["\x01other"]));
        publisher.begin(&frames(&["comm", "head"]));
        publisher.subscription(late, &frames(&["\x01"]));
        publisher.piece(&Bytes::from_static(b"one"), false);
        publisher.publish(&frames(&["an answer from elsewhere"]));
        publisher.answer(early, Bytes::from_static(b"\x04PONG"));
        publisher.piece(&Bytes::from_static(b"two"), true);
        let wire = |id| {
            let mut all = Vec::new();
            while let Some(next) = publisher.next(id) {
                match next {
                    Outgoing::Raw(bytes) => all.extend_from_slice(&bytes),
                    Outgoing::Message(message) => all.extend_from_slice(&message.concat()),
                    Outgoing::Command(body) => all.extend_from_slice(&body),
                    Outgoing::Broken => all.extend_from_slice(b"BROKEN"),
                }
            }
            String::from_utf8(all).unwrap()
        };
        assert_eq!(wire(early), "\x01\x04comm\x01\x04headonetwoan answer from elsewhere\x04PONG");
        assert_eq!((wire(late), wire(deaf)), ("an answer from elsewhere".to_owned(), String::new()));
        assert_eq!(publisher.state().clients[&early].waiting, 0);
        publisher.begin(&frames(&["comm"]));
        publisher.abandon();
        assert_eq!(wire(early), "\x01\x04commBROKEN");
    }

    #[test]
    fn a_client_that_does_not_read_loses_whole_messages_and_the_other_none() {
        let (publisher, _passed) = publisher();
        let (bad, good) = (client(&publisher), client(&publisher));
        for id in [bad, good] {
            publisher.subscription(id, &frames(&["\x01"]));
        }
        let large = vec![Bytes::from(vec![0; 40 << 20])];
        for _ in 0..20 {
            publisher.publish(&large);
            assert_eq!(got(&publisher, good).len(), 1);
        }
        let waiting = || publisher.state().clients[&bad].waiting;
        assert!((READING_BYTES - (40 << 20)..READING_BYTES + (41 << 20)).contains(&waiting()), "{}", waiting());
        let long_ago = Instant::now().checked_sub(STOPPED_AFTER).unwrap();
        publisher.state().clients.get_mut(&bad).unwrap().progress.1 = long_ago;
        publisher.publish(&large);
        assert!(waiting() <= STOPPED_BYTES, "{}", waiting());
        assert_eq!(publisher.state().clients[&bad].dropped, 20);
        assert_eq!(publisher.state().clients[&good].dropped, 0);
        assert_eq!(got(&publisher, bad).len(), 1);
        publisher.publish(&large);
        assert_eq!(got(&publisher, bad).len(), 1, "it gets messages again once it has read");
    }
}
