//! The iopub socket of the front: what the kernel tells everybody, to everybody who asked.
//!
//! Each client has a queue bounded in bytes and a task of its own, so one that does not read costs the others
//! nothing: past the bound it loses whole messages, which are counted.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::Bytes;
use tokio::sync::mpsc;

use super::{
    transport::{ReadHalf, WriteHalf},
    zmtp::{self, Introduction, Message, Received, ZmtpError},
};

/// A client that has so many bytes waiting gets nothing more until it reads.
const QUEUE_BYTES: u64 = 64 << 20;

/// One thing to be written to a client.
enum Outgoing {
    Message(Message),
    Command(Bytes),
}

struct Client {
    /// Prefixes with the number of times each was subscribed to.
    topics: BTreeMap<Bytes, usize>,
    /// Topics whose welcome it has had.
    greeted: BTreeSet<Bytes>,
    queue: mpsc::UnboundedSender<Outgoing>,
    /// Bytes in the queue, the message that is being written among them.
    waiting: Arc<AtomicU64>,
    dropped: u64,
}

#[derive(Default)]
struct State {
    next_id: u64,
    clients: BTreeMap<u64, Client>,
    /// The kernel's `iopub_welcome` for each topic.
    welcomes: BTreeMap<Bytes, Message>,
    /// Topics that the kernel was told of.
    passed_up: BTreeSet<Bytes>,
}

/// Fans messages out to the clients of the front's iopub socket.
pub(super) struct Publisher {
    state: Mutex<State>,
    /// New topics, for the subscription on the kernel's side.
    topics: mpsc::UnboundedSender<Bytes>,
}

impl Publisher {
    /// `topics` is told each topic that a client is the first to subscribe to.
    pub(super) fn new(topics: mpsc::UnboundedSender<Bytes>) -> Self {
        Self { state: Mutex::new(State::default()), topics }
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

    /// Keeps the kernel's greeting for a topic, and gives it to the clients that subscribed to it already.
    pub(super) fn welcome(&self, topic: Bytes, message: Message) {
        let mut state = self.state();
        for client in state.clients.values_mut() {
            if client.topics.contains_key(&topic) && client.greeted.insert(topic.clone()) {
                client.offer(&message);
            }
        }
        state.welcomes.insert(topic, message);
    }

    /// Serves one connection until it ends.
    pub(super) async fn serve(&self, read: ReadHalf, write: WriteHalf) -> Result<(), ZmtpError> {
        let own = Introduction { socket_type: "PUB".to_owned(), identity: Bytes::new() };
        let (peer, mut reader, mut writer) = zmtp::handshake(read, write, &own).await?;
        if !matches!(peer.socket_type.as_str(), "SUB" | "XSUB") {
            return Err(ZmtpError::Ready);
        }
        let (queue, mut outgoing) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicU64::new(0));
        let id = self.add(queue.clone(), Arc::clone(&waiting));
        let reading = async {
            while let Some(received) = reader.receive().await? {
                match received {
                    Received::Message(frames) => self.subscription(id, &frames),
                    Received::Command(body) => {
                        if let Some(pong) = zmtp::pong(&body) {
                            // The other end of the queue is in this very function.
                            queue.send(Outgoing::Command(pong)).unwrap_or_default();
                        } else {
                            self.subscription_command(id, &body);
                        }
                    }
                }
            }
            Ok(())
        };
        let writing = async {
            while let Some(next) = outgoing.recv().await {
                match next {
                    Outgoing::Message(message) => {
                        writer.send(&message).await?;
                        waiting.fetch_sub(size(&message), Ordering::AcqRel);
                    }
                    Outgoing::Command(body) => writer.command(&body).await?,
                }
            }
            Ok(())
        };
        let result = tokio::select! { result = reading => result, result = writing => result };
        let lost = self.state().clients.remove(&id).map_or(0, |client| client.dropped);
        if lost > 0 {
            say(&format!("a client that did not read lost {lost} iopub messages"));
        }
        result
    }

    fn add(&self, queue: mpsc::UnboundedSender<Outgoing>, waiting: Arc<AtomicU64>) -> u64 {
        let mut state = self.state();
        state.next_id += 1;
        let id = state.next_id;
        let client = Client { topics: BTreeMap::new(), greeted: BTreeSet::new(), queue, waiting, dropped: 0 };
        state.clients.insert(id, client);
        id
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
        let welcome = state.welcomes.get(&topic).cloned();
        let Some(client) = state.clients.get_mut(&id) else { return };
        *client.topics.entry(topic.clone()).or_default() += 1;
        if let Some(welcome) = welcome
            && client.greeted.insert(topic.clone())
        {
            client.offer(&welcome);
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
        self.state().clients.values().any(|client| client.waiting.load(Ordering::Acquire) > 0)
    }
}

impl Client {
    /// Queues a message, or drops and counts it.
    fn offer(&mut self, message: &Message) {
        if self.waiting.load(Ordering::Acquire) > QUEUE_BYTES {
            if self.dropped == 0 {
                say("a client does not read its iopub messages; it loses some from here on");
            }
            self.dropped += 1;
            return;
        }
        let bytes = size(message);
        self.waiting.fetch_add(bytes, Ordering::AcqRel);
        if self.queue.send(Outgoing::Message(message.clone())).is_err() {
            self.waiting.fetch_sub(bytes, Ordering::AcqRel);
        }
    }
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

    fn client(publisher: &Publisher) -> (u64, mpsc::UnboundedReceiver<Outgoing>, Arc<AtomicU64>) {
        let (queue, outgoing) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicU64::new(0));
        (publisher.add(queue, Arc::clone(&waiting)), outgoing, waiting)
    }

    fn got(outgoing: &mut mpsc::UnboundedReceiver<Outgoing>) -> Vec<Message> {
        std::iter::from_fn(|| outgoing.try_recv().ok())
            .filter_map(|next| if let Outgoing::Message(message) = next { Some(message) } else { None })
            .collect()
    }

    #[test]
    fn a_client_gets_what_it_subscribed_to_and_each_is_greeted() {
        let (topics, mut passed) = mpsc::unbounded_channel();
        let publisher = Publisher::new(topics);
        let (one, mut to_one, _) = client(&publisher);
        publisher.subscription(one, &frames(&["\x01"]));
        publisher.welcome(Bytes::new(), frames(&["", "welcome"]));
        let (two, mut to_two, _) = client(&publisher);
        publisher.subscription_command(two, &Bytes::from_static(b"\x09SUBSCRIBEkernel.1"));
        publisher.publish(&frames(&["kernel.1.stream", "x"]));
        publisher.publish(&frames(&["kernel.2.stream", "y"]));
        publisher.subscription(two, &frames(&["\x01"]));
        assert_eq!(
            got(&mut to_one),
            [frames(&["", "welcome"]), frames(&["kernel.1.stream", "x"]), frames(&["kernel.2.stream", "y"])]
        );
        assert_eq!(got(&mut to_two), [frames(&["kernel.1.stream", "x"]), frames(&["", "welcome"])]);
        assert_eq!(passed.try_recv().unwrap(), "kernel.1");
        assert!(passed.try_recv().is_err(), "the empty topic is not passed up");
        publisher.subscription_command(two, &Bytes::from_static(b"\x06CANCEL"));
        publisher.publish(&frames(&["other"]));
        assert_eq!(got(&mut to_two).len(), 0);
    }

    #[test]
    fn a_client_that_does_not_read_loses_whole_messages_and_the_other_none() {
        let (topics, _passed) = mpsc::unbounded_channel();
        let publisher = Publisher::new(topics);
        let (bad, mut to_bad, waiting) = client(&publisher);
        let (good, mut to_good, read) = client(&publisher);
        for id in [bad, good] {
            publisher.subscription(id, &frames(&["\x01"]));
        }
        let large = vec![Bytes::from(vec![0; 40 << 20])];
        for _ in 0..5 {
            publisher.publish(&large);
            assert_eq!(got(&mut to_good).len(), 1);
            read.store(0, Ordering::Release);
        }
        assert_eq!(publisher.state().clients[&bad].dropped, 3);
        assert_eq!(publisher.state().clients[&good].dropped, 0);
        assert_eq!(got(&mut to_bad).len(), 2);
        waiting.store(0, Ordering::Release);
        publisher.publish(&large);
        assert_eq!(got(&mut to_bad).len(), 1, "it gets messages again once it has read");
    }
}
