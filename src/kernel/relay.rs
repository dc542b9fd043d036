//! One connection of a frontend, and the connection to the kernel that stands for it.
//!
//! The kernel's side introduces itself as the frontend did (socket type and routing identity), so the kernel sees
//! each frontend's own identity and treats reconnects and duplicates as it always does. When either side ends, the
//! other does.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{mpsc, watch},
    time::{Instant, sleep},
};

use super::{
    BeforeEnd,
    arrivals::Arrivals,
    magics::{Iopub, Substitution},
    panel::{Comms, Taken},
    publisher::Publisher,
    transport::{self, ReadHalf, WriteHalf},
    zmtp::{self, Introduction, Message, Reader, Received, Writer, ZmtpError},
};
use crate::event::{self, Channel, Direction, Event, EventSink, KernelProcess, MessageRecord};
use crate::jupyter::{
    connection::{Connection, Endpoint, Socket},
    messages::{ExecutionState, IoPubWelcome, Status},
    wire::{self, Signed},
};

/// How long the idle of a magic waits for its reply, which comes over another socket.
const REPLY_WAIT: Duration = Duration::from_millis(250);

/// Signature, header, parent header, metadata and content.
const PARTS: usize = 5;

/// So many outputs, each close behind the one before, are a stream; messages of a stream travel together.
const STREAM: u32 = 16;
/// What a message of a stream waits at most for company. Each journey wakes four threads on the way to the frontend,
/// which costs more than all that is done with a message.
const TOGETHER: Duration = Duration::from_millis(3);

/// A socket that is there and does not listen is tried again after this.
const SOON: Duration = Duration::from_millis(3);
/// A kernel that takes long is looked for this often at most.
const LATER: Duration = Duration::from_millis(50);

/// What all connections of one proxy share.
pub(super) struct Shared {
    pub(super) sink: Arc<dyn EventSink>,
    pub(super) kernel: OnceLock<Arc<dyn KernelProcess>>,
    /// The kernel's sockets as this process reaches them.
    pub(super) inner: Connection,
    /// Where they appear.
    pub(super) arrivals: Arrivals,
    /// Becomes true when the kernel's process has ended.
    pub(super) ended: watch::Receiver<bool>,
    /// Some socket of the kernel was there.
    pub(super) met: AtomicBool,
    pub(super) publisher: Publisher,
    pub(super) substitution: Option<Substitution>,
    pub(super) before_end: Option<BeforeEnd>,
    pub(super) comms: Option<Comms>,
    pub(super) anonymous: AtomicU32,
}

impl Shared {
    /// Keeps a message before it is forwarded. One that has no delimiter is no Jupyter message and is only forwarded.
    fn record(&self, channel: Channel, direction: Direction, client: &Bytes, message: &Message) {
        let mut after = message.split(|frame| frame.as_ref() == wire::DELIMITER);
        if let (Some(before), Some(_)) = (after.next(), after.next()) {
            let frames = message.get(before.len() + 2..).unwrap_or_default().to_vec();
            let client = client.clone();
            self.sink.record(Event::Message(MessageRecord { at: event::now(), channel, direction, client, frames }));
        }
    }

    /// Hands everything that the capture saw up to now to the sink.
    fn settle(&self) {
        if let Some(kernel) = self.kernel.get() {
            kernel.settle();
        }
    }

    /// Lets be done what must be done before the kernel ends.
    pub(super) async fn before_end(&self) {
        if let Some(before) = self.before_end.clone() {
            tokio::task::spawn_blocking(move || before()).await.unwrap_or_default();
        }
    }

    /// Connects to a socket of the kernel as soon as it is there; `None` when the kernel ended before.
    async fn connect(&self, socket: Socket) -> Option<(ReadHalf, WriteHalf)> {
        let mut ended = self.ended.clone();
        let places = places(&self.inner, socket);
        let start = Instant::now();
        loop {
            let arrival = self.arrivals.next();
            let mut pause = self.arrivals.pause();
            for place in places.iter().filter(|place| may_be_there(place)) {
                // It does not listen yet.
                pause = SOON;
                if let Ok(halves) = transport::connect(place).await {
                    self.met.store(true, Ordering::Release);
                    return Some(halves);
                }
            }
            let pause = if start.elapsed() < Duration::from_secs(20) { pause } else { pause.max(LATER) };
            tokio::select! {
                _ = ended.wait_for(|ended| *ended) => return None,
                () = arrival => {}
                () = sleep(pause) => {}
            }
        }
    }

    /// The introduction of a frontend's connection to the kernel, and the name it is recorded under.
    fn name(&self, peer: &Introduction) -> Bytes {
        if !peer.identity.is_empty() {
            return peer.identity.clone();
        }
        // As libzmq names peers that do not say their name: a zero and a number.
        let number = self.anonymous.fetch_add(1, Ordering::Relaxed);
        [&[0_u8][..], &number.to_be_bytes()].concat().into()
    }
}

/// Where a socket of the kernel may be: kernels that know nothing of ipc put a colon before the port.
fn places(inner: &Connection, socket: Socket) -> Vec<Endpoint> {
    let mut places: Vec<Endpoint> = inner.endpoint(socket).into_iter().collect();
    if let Some(Endpoint::Ipc(_)) = places.first() {
        places.push(Endpoint::Ipc(format!("{}:{}", inner.ip, inner.port(socket)).into()));
    }
    places
}

/// A look at the directory is a tenth of the price of trying.
fn may_be_there(place: &Endpoint) -> bool {
    match place {
        Endpoint::Ipc(path) => path.exists(),
        Endpoint::Tcp(_) => true,
    }
}

fn channel(socket: Socket) -> Option<Channel> {
    match socket {
        Socket::Shell => Some(Channel::Shell),
        Socket::Stdin => Some(Channel::Stdin),
        Socket::Control => Some(Channel::Control),
        Socket::Iopub => Some(Channel::Iopub),
        Socket::Heartbeat => None,
    }
}

/// Serves one connection of a frontend to shell, control, stdin or the heartbeat.
pub(super) async fn relay(
    shared: &Arc<Shared>,
    socket: Socket,
    (read, write): (ReadHalf, WriteHalf),
) -> Result<(), ZmtpError> {
    let own = Introduction { socket_type: "ROUTER".to_owned(), identity: Bytes::new() };
    let (peer, from_front, to_front) = zmtp::handshake(read, write, &own).await?;
    if !matches!(peer.socket_type.as_str(), "DEALER" | "REQ" | "ROUTER") {
        return Err(ZmtpError::Ready);
    }
    let Some((read, write)) = shared.connect(socket).await else { return Ok(()) };
    let (_, from_kernel, to_kernel) = zmtp::handshake(read, write, &peer).await?;
    let client = shared.name(&peer);
    let inwards = |message: Message| {
        let Some(channel) = channel(socket) else { return Some(message) };
        if socket == Socket::Shell && is_for_us(shared, &message) {
            return None;
        }
        shared.record(channel, Direction::ToKernel, &client, &message);
        let substitution = shared.substitution.as_ref().filter(|_| socket == Socket::Shell);
        Some(substitution.and_then(|substitution| substitution.request(&message)).unwrap_or(message))
    };
    let outwards = |message: Message| {
        let Some(channel) = channel(socket) else { return Some(message) };
        let mut message = message;
        if socket == Socket::Shell {
            if let Some(changed) = shared.substitution.as_ref().and_then(|it| it.reply(&message)) {
                message = changed;
            }
            if is_of_type(&message, "execute_reply") {
                shared.settle();
            }
        }
        shared.record(channel, Direction::ToFrontend, &client, &message);
        Some(message)
    };
    let ending = Some(shared.as_ref())
        .filter(|shared| shared.before_end.is_some() && matches!(socket, Socket::Shell | Socket::Control));
    let (front_pongs, to_front_pongs) = mpsc::unbounded_channel();
    let (kernel_pongs, to_kernel_pongs) = mpsc::unbounded_channel();
    tokio::select! {
        result = pump(from_front, to_kernel, front_pongs, to_kernel_pongs, ending, inwards) => result,
        result = pump(from_kernel, to_front, kernel_pongs, to_front_pongs, None, outwards) => result,
    }
}

/// Whether a message is for the proxy itself; a question in it is answered on a thread of its own.
fn is_for_us(shared: &Arc<Shared>, message: &Message) -> bool {
    let Some(comms) = &shared.comms else { return false };
    match comms.take(message) {
        Taken::NotOurs => false,
        Taken::Done => true,
        Taken::Question(question) => {
            let asked = Arc::clone(shared);
            let answer = move || {
                if let Some(comms) = &asked.comms {
                    comms.answer(&question, &|message| asked.publisher.publish(message));
                }
            };
            // Where no thread can be had the frontend waits in vain; the notebook does not.
            drop(std::thread::Builder::new().name("panel".to_owned()).spawn(answer));
            true
        }
    }
}

/// Passes messages on until the connection they come from ends; what `pass` keeps goes no further. PINGs are answered by
/// the pump of the other direction. `ending`: towards the kernel, whose end is prepared before it is asked for.
async fn pump<R: AsyncRead + Unpin, W: AsyncWrite + Unpin>(
    mut from: Reader<R>,
    mut to: Writer<W>,
    pongs: mpsc::UnboundedSender<Bytes>,
    mut own_pongs: mpsc::UnboundedReceiver<Bytes>,
    ending: Option<&Shared>,
    mut pass: impl FnMut(Message) -> Option<Message>,
) -> Result<(), ZmtpError> {
    loop {
        tokio::select! {
            received = from.receive() => match received? {
                None => return Ok(()),
                Some(Received::Message(message)) => if let Some(message) = pass(message) {
                    if let Some(shared) = ending.filter(|_| is_of_type(&message, "shutdown_request")) {
                        shared.before_end().await;
                    }
                    to.send(&message).await?;
                },
                Some(Received::Command(body)) => {
                    if let Some(pong) = zmtp::pong(&body) {
                        // The other pump ends together with this one.
                        pongs.send(pong).unwrap_or_default();
                    }
                }
                // Only asked for on iopub.
                Some(Received::Beginning(_) | Received::Piece { .. }) => return Err(ZmtpError::Ready),
            },
            Some(pong) = own_pongs.recv() => to.command(&pong).await?,
        }
    }
}

fn is_of_type(message: &Message, msg_type: &str) -> bool {
    let header = wire::split(message).ok().map(|(_, signed)| signed);
    let header = header.and_then(|Signed { parts: [header, ..], .. }| wire::parse_header(&header).ok());
    header.is_some_and(|header| header.msg_type == msg_type)
}

/// Listens to the kernel's iopub until it ends, and publishes what it says.
pub(super) async fn listen(shared: &Arc<Shared>, topics: mpsc::UnboundedReceiver<Bytes>) -> Result<(), ZmtpError> {
    let Some((read, write)) = shared.connect(Socket::Iopub).await else { return Ok(()) };
    let own = Introduction { socket_type: "SUB".to_owned(), identity: Bytes::new() };
    let (_, mut reader, mut writer) = zmtp::handshake(read, write, &own).await?;
    writer.send(&[Bytes::from_static(b"\x01")]).await?;
    reader.pass_large_on(is_past_content);
    let result = listen_to(shared, topics, reader, writer).await;
    shared.publisher.abandon();
    result
}

async fn listen_to(
    shared: &Arc<Shared>,
    mut topics: mpsc::UnboundedReceiver<Bytes>,
    mut reader: Reader<ReadHalf>,
    mut writer: Writer<WriteHalf>,
) -> Result<(), ZmtpError> {
    let mut flow = Flow::default();
    loop {
        if flow.streams() && reader.has_trickled_dry() {
            sleep(TOGETHER).await;
        }
        tokio::select! {
            received = reader.receive() => match received? {
                None => return Ok(()),
                Some(Received::Message(message)) => flow.saw(publish(shared, message)),
                Some(Received::Beginning(frames)) => {
                    // What is recorded of such a message is there already (`record::gate` keeps no buffers of outputs).
                    shared.record(Channel::Iopub, Direction::ToFrontend, &Bytes::new(), &frames);
                    shared.publisher.begin(&frames);
                }
                Some(Received::Piece { bytes, last }) => shared.publisher.piece(&bytes, last),
                Some(Received::Command(body)) => if let Some(pong) = zmtp::pong(&body) {
                    writer.command(&pong).await?;
                },
            },
            Some(topic) = topics.recv() => writer.send(&[[b"\x01", topic.as_ref()].concat().into()]).await?,
        }
    }
}

/// Whether what comes next in a message are its buffers.
fn is_past_content(frames: &[Bytes]) -> bool {
    let delimiter = frames.iter().position(|frame| frame.as_ref() == wire::DELIMITER);
    delimiter.is_some_and(|delimiter| frames.len() >= delimiter + 1 + PARTS)
}

/// How thick the outputs of an execution come.
#[derive(Default)]
struct Flow {
    /// How many came one close behind the other.
    close: u32,
    last: Option<Instant>,
}

impl Flow {
    /// Takes note of a message; a change of the kernel's state ends the stream.
    fn saw(&mut self, is_status: bool) {
        let now = Instant::now();
        let close = self.last.replace(now).is_some_and(|last| now - last < 2 * TOGETHER);
        self.close = if close && !is_status { self.close.saturating_add(1) } else { 0 };
    }

    fn streams(&self) -> bool {
        self.close >= STREAM
    }
}

/// Records and publishes one iopub message; whether it was a status.
fn publish(shared: &Arc<Shared>, message: Message) -> bool {
    let none = Bytes::new();
    let Some((header, signed)) = wire::split(&message)
        .ok()
        .and_then(|(_, signed)| Some((wire::parse_header(signed.parts.first()?).ok()?, signed)))
    else {
        // Not a Jupyter message, or a broken one: the frontend may know better.
        shared.record(Channel::Iopub, Direction::ToFrontend, &none, &message);
        shared.publisher.publish(&message);
        return false;
    };
    if let Some(comms) = &shared.comms {
        comms.spoke(&header.session);
    }
    let Signed { parts: [_, parent_header, _, content], .. } = &signed;
    let is_status = header.msg_type == "status";
    let idle = is_status
        && serde_json::from_slice::<Status>(content).is_ok_and(|status| status.execution_state == ExecutionState::Idle);
    let fate =
        shared.substitution.as_ref().map_or(Iopub::Forward, |it| it.iopub(&header.msg_type, parent_header, idle));
    match fate {
        Iopub::Drop => return is_status,
        Iopub::Idle(msg_id) => {
            let shared = Arc::clone(shared);
            tokio::spawn(async move { answer(&shared, msg_id, header.session, message).await });
            return is_status;
        }
        Iopub::Forward => {}
    }
    if idle {
        shared.settle();
    }
    shared.record(Channel::Iopub, Direction::ToFrontend, &none, &message);
    if header.msg_type == "iopub_welcome"
        && let Ok(welcome) = serde_json::from_slice::<IoPubWelcome>(content)
    {
        let kept = message.iter().map(|frame| Bytes::copy_from_slice(frame)).collect();
        shared.publisher.welcome(Bytes::from(welcome.subscription), kept);
    } else {
        shared.publisher.publish(&message);
    }
    is_status
}

/// Publishes the answer to a magic, and then its idle.
async fn answer(shared: &Arc<Shared>, msg_id: String, session: String, idle: Message) {
    if let Some(substitution) = &shared.substitution {
        let replied = async {
            loop {
                let next = substitution.replied.notified();
                if substitution.has_reply(&msg_id) {
                    return;
                }
                next.await;
            }
        };
        // A reply that is late does not hold the answer back.
        tokio::time::timeout(REPLY_WAIT, replied).await.unwrap_or_default();
    }
    let asked = Arc::clone(shared);
    let text = tokio::task::spawn_blocking(move || asked.substitution.as_ref()?.answer(&msg_id, &session)).await;
    shared.settle();
    for message in text.ok().flatten().into_iter().chain([idle]) {
        shared.record(Channel::Iopub, Direction::ToFrontend, &Bytes::new(), &message);
        shared.publisher.publish(&message);
    }
}
