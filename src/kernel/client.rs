//! A frontend of our own, for replays: one client of one kernel.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout, timeout_at};
use zeromq::{
    DealerSocket, Socket as _, SocketEvent, SocketOptions, SocketRecv as _, SocketSend as _, SubSocket, ZmqError,
    ZmqMessage, util::PeerIdentity,
};

use crate::event::{self, Shown};
use crate::jupyter::{
    connection::{Connection, Endpoint, Socket},
    messages::{ExecutionState, Status},
    wire::{self, Header, Signed, SigningKey},
};

/// How long a kernel may take to answer on control.
const CONTROL: Duration = Duration::from_secs(5);
/// How long an idle may come after its reply: the two come over different sockets.
const LATE_IDLE: Duration = Duration::from_secs(5);
/// How often a kernel that says nothing is asked again, and a connection is looked at.
const AGAIN: Duration = Duration::from_millis(500);

/// What went wrong between us and the kernel.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The connection has no address for a socket.
    #[error("no address to connect to in `{ip}`")]
    Address {
        /// `ip` of the connection.
        ip: String,
    },
    /// A socket could not be connected.
    #[error("cannot connect to {endpoint}")]
    Connect {
        /// Where.
        endpoint: Endpoint,
        /// What the ZeroMQ library said.
        source: Box<ZmqError>,
    },
    /// A message could not be sent.
    #[error("cannot send `{msg_type}` to the kernel")]
    Send {
        /// Its type.
        msg_type: String,
        /// What the ZeroMQ library said.
        source: Box<ZmqError>,
    },
    /// Nothing could be received.
    #[error("cannot receive from the kernel")]
    Receive {
        /// What the ZeroMQ library said.
        source: Box<ZmqError>,
    },
    /// The kernel closed its sockets: it ended.
    #[error("the kernel ended")]
    Ended,
    /// No answer in time.
    #[error("no `{expected}` from the kernel in {} s", after.as_secs_f32())]
    Silent {
        /// What was waited for.
        expected: &'static str,
        /// How long.
        after: Duration,
    },
}

/// How an execution ended, seen from the frontend. Its outputs are in the recording.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct ExecuteOutcome {
    /// `msg_id` of the request.
    pub msg_id: String,
    /// The content of `execute_reply`; `None` when it did not come in time.
    pub reply: Option<Value>,
    /// Reply or idle did not come in time.
    pub timed_out: bool,
    /// The kernel asked for input that there was no answer to, and was interrupted.
    pub unanswered: bool,
}

/// What the execution that runs has shown so far, for whoever waits for it.
#[derive(Clone, Debug)]
pub struct Progress(Arc<Mutex<(Shown, Instant)>>);

impl Progress {
    fn lock(&self) -> std::sync::MutexGuard<'_, (Shown, Instant)> {
        // Two plain values: a panic between them spoils neither.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was shown since the request was sent, and how long nothing has been.
    pub fn now(&self) -> (Shown, Duration) {
        let (shown, last) = *self.lock();
        (shown, last.elapsed())
    }

    fn begin(&self) {
        *self.lock() = (Shown::default(), Instant::now());
    }

    fn count(&self, message: &Incoming) {
        let mut now = self.lock();
        if now.0.count(&message.header.msg_type, &message.content()) {
            now.1 = Instant::now();
        }
    }
}

/// A connected client. Its messages carry one session id, which is its routing identity too.
pub struct Client {
    shell: DealerSocket,
    control: DealerSocket,
    stdin: DealerSocket,
    iopub: SubSocket,
    key: SigningKey,
    session: String,
    progress: Progress,
    /// A question without an answer stands, and somebody else will end the execution.
    pub leave_questions: bool,
    /// Whether the shell connection still stands.
    watch: Box<dyn FnMut() -> bool + Send>,
}

/// A message that came in, as far as the client looks at it.
struct Incoming {
    header: Header,
    header_frame: Bytes,
    parent_id: String,
    content: Bytes,
}

fn incoming(message: ZmqMessage) -> Option<Incoming> {
    let (_, Signed { parts: [header_frame, parent_header, _, content], .. }) = wire::split(&message.into_vec()).ok()?;
    let header = wire::parse_header(&header_frame).ok()?;
    let parent_id = wire::parse_header(&parent_header).map(|parent| parent.msg_id).unwrap_or_default();
    Some(Incoming { header, header_frame, parent_id, content })
}

impl Incoming {
    fn answers(&self, msg_id: &str, msg_type: &str) -> bool {
        self.parent_id == msg_id && self.header.msg_type == msg_type
    }

    fn is_idle_of(&self, msg_id: &str) -> bool {
        let idle = || serde_json::from_slice::<Status>(&self.content).map(|status| status.execution_state);
        self.answers(msg_id, "status") && matches!(idle(), Ok(ExecutionState::Idle))
    }

    fn content(&self) -> Value {
        serde_json::from_slice(&self.content).unwrap_or_default()
    }
}

fn receive(result: Result<ZmqMessage, ZmqError>) -> Result<Option<Incoming>, ClientError> {
    result.map(incoming).map_err(|source| ClientError::Receive { source: Box::new(source) })
}

impl Client {
    /// Connects the four sockets; subscribes before anything is said.
    pub async fn connect(connection: &Connection) -> Result<Self, ClientError> {
        let session = wire::fresh_id();
        let options = || {
            let mut options = SocketOptions::default();
            if let Ok(identity) = PeerIdentity::try_from(session.as_bytes()) {
                options.peer_identity(identity);
            }
            options.connect_timeout(Duration::from_secs(10));
            options
        };
        let mut shell = DealerSocket::with_options(options());
        let mut events = shell.monitor();
        // A connection that closed is told once.
        let watch = Box::new(move || !matches!(events.try_recv(), Ok(SocketEvent::Disconnected(_))));
        let mut iopub = SubSocket::new();
        let failed = |endpoint: &Endpoint| {
            let endpoint = endpoint.clone();
            move |source| ClientError::Connect { endpoint, source: Box::new(source) }
        };
        let place = |socket: Socket| {
            connection.endpoint(socket).ok_or_else(|| ClientError::Address { ip: connection.ip.clone() })
        };
        let endpoint = place(Socket::Iopub)?;
        iopub.subscribe("").await.map_err(failed(&endpoint))?;
        iopub.connect(&endpoint.to_string()).await.map_err(failed(&endpoint))?;
        let mut control = DealerSocket::with_options(options());
        let mut stdin = DealerSocket::with_options(options());
        for (socket, dealer) in
            [(Socket::Stdin, &mut stdin), (Socket::Control, &mut control), (Socket::Shell, &mut shell)]
        {
            let endpoint = place(socket)?;
            dealer.connect(&endpoint.to_string()).await.map_err(failed(&endpoint))?;
        }
        let progress = Progress(Arc::new(Mutex::new((Shown::default(), Instant::now()))));
        let key = connection.key.clone();
        Ok(Self { shell, control, stdin, iopub, key, session, progress, leave_questions: false, watch })
    }

    /// What the execution that runs has shown so far.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// A signed message of this client, and its id.
    fn message(
        &self,
        msg_type: &str,
        parent: &[u8],
        metadata: &Value,
        content: &impl Serialize,
    ) -> (String, Vec<Bytes>) {
        let header = Header {
            msg_id: wire::fresh_id(),
            msg_type: msg_type.to_owned(),
            session: self.session.clone(),
            username: "nbpack".to_owned(),
            date: Some(event::now()),
            version: "5.3".to_owned(),
            subshell_id: None,
        };
        let frames = wire::message(&self.key, &header, parent, metadata, content, Vec::new());
        (header.msg_id, frames)
    }

    async fn send(socket: &mut DealerSocket, msg_type: &str, frames: Vec<Bytes>) -> Result<(), ClientError> {
        let failed = |source| ClientError::Send { msg_type: msg_type.to_owned(), source: Box::new(source) };
        let message = ZmqMessage::try_from(frames).map_err(|_| failed(ZmqError::Other("no frames")))?;
        socket.send(message).await.map_err(failed)
    }

    /// Waits until the kernel answers on shell and is heard on iopub.
    pub async fn wait_ready(&mut self, within: Duration) -> Result<(), ClientError> {
        let give_up = Instant::now() + within;
        let (mut replied, mut heard) = (false, false);
        while Instant::now() < give_up {
            let (_, frames) = self.message("kernel_info_request", b"{}", &json!({}), &json!({}));
            Self::send(&mut self.shell, "kernel_info_request", frames).await?;
            let ask_again = (Instant::now() + AGAIN).min(give_up);
            while !(replied && heard) && Instant::now() < ask_again {
                let next = async {
                    tokio::select! {
                        message = self.shell.recv() => (receive(message), true),
                        message = self.iopub.recv() => (receive(message), false),
                    }
                };
                match timeout_at(ask_again, next).await {
                    Ok((message, true)) => {
                        replied |= message?.is_some_and(|it| it.header.msg_type == "kernel_info_reply");
                    }
                    Ok((message, false)) => heard |= message?.is_some(),
                    Err(_) if !(self.watch)() => return Err(ClientError::Ended),
                    Err(_) => {}
                }
            }
            if replied && heard {
                return Ok(());
            }
        }
        Err(ClientError::Silent { expected: "kernel_info_reply", after: within })
    }

    /// Runs one `execute_request` with this content and metadata until its reply and idle came, or `within` is over.
    ///
    /// `stdin` answers questions (prompt, whether it is a password); without an answer the kernel is interrupted.
    pub async fn execute(
        &mut self,
        content: Value,
        metadata: Value,
        mut stdin: impl FnMut(&str, bool) -> Option<String>,
        within: Duration,
    ) -> Result<ExecuteOutcome, ClientError> {
        enum Event {
            Shell(Option<Incoming>),
            Iopub(Option<Incoming>),
            Stdin(Option<Incoming>),
        }
        let (msg_id, frames) = self.message("execute_request", b"{}", &metadata, &content);
        self.progress.begin();
        Self::send(&mut self.shell, "execute_request", frames).await?;
        let mut outcome = ExecuteOutcome { msg_id: msg_id.clone(), ..ExecuteOutcome::default() };
        let mut give_up = Instant::now() + within;
        let mut idle = false;
        while outcome.reply.is_none() || !idle {
            let next = async {
                Ok::<_, ClientError>(tokio::select! {
                    message = self.shell.recv() => Event::Shell(receive(message)?),
                    message = self.iopub.recv() => Event::Iopub(receive(message)?),
                    message = self.stdin.recv() => Event::Stdin(receive(message)?),
                })
            };
            match timeout_at(give_up.min(Instant::now() + AGAIN), next).await {
                Ok(event) => match event? {
                    Event::Shell(Some(message)) if message.answers(&msg_id, "execute_reply") => {
                        outcome.reply = Some(message.content());
                        give_up = give_up.min(Instant::now() + LATE_IDLE);
                    }
                    Event::Iopub(Some(message)) if message.is_idle_of(&msg_id) => idle = true,
                    Event::Iopub(Some(message)) if message.parent_id == msg_id => self.progress.count(&message),
                    Event::Stdin(Some(message)) if message.header.msg_type == "input_request" => {
                        outcome.unanswered |= !self.answer(&message, &mut stdin).await?;
                    }
                    _ => {}
                },
                Err(_) if Instant::now() >= give_up => {
                    outcome.timed_out = true;
                    return Ok(outcome);
                }
                Err(_) if !(self.watch)() => return Err(ClientError::Ended),
                Err(_) => {}
            }
        }
        Ok(outcome)
    }

    /// Answers an `input_request`, or interrupts the kernel; whether there was an answer.
    async fn answer(
        &mut self,
        request: &Incoming,
        stdin: &mut impl FnMut(&str, bool) -> Option<String>,
    ) -> Result<bool, ClientError> {
        self.progress.count(request);
        let asked = request.content();
        let prompt = asked.get("prompt").and_then(Value::as_str).unwrap_or_default();
        let password = asked.get("password").and_then(Value::as_bool).unwrap_or(false);
        let Some(value) = stdin(prompt, password) else {
            if !self.leave_questions {
                self.interrupt().await?;
            }
            return Ok(false);
        };
        let content = json!({"value": value, "status": "ok"});
        let (_, frames) = self.message("input_reply", &request.header_frame, &json!({}), &content);
        Self::send(&mut self.stdin, "input_reply", frames).await?;
        Ok(true)
    }

    /// Sends a comm message (`comm_open`, `comm_msg`, `comm_close`) on shell. Kernels do not reply to these.
    pub async fn send_comm(
        &mut self,
        msg_type: &str,
        content: &impl Serialize,
        buffers: Vec<Bytes>,
    ) -> Result<(), ClientError> {
        let (_, mut frames) = self.message(msg_type, b"{}", &json!({}), content);
        frames.extend(buffers);
        Self::send(&mut self.shell, msg_type, frames).await
    }

    /// Sends `interrupt_request` on control and waits for its reply.
    pub async fn interrupt(&mut self) -> Result<(), ClientError> {
        self.control("interrupt_request", "interrupt_reply", &json!({})).await
    }

    /// Asks the kernel to end, or to restart where it can, and waits for its reply.
    pub async fn shutdown(&mut self, restart: bool) -> Result<(), ClientError> {
        self.control("shutdown_request", "shutdown_reply", &json!({"restart": restart})).await
    }

    async fn control(&mut self, request: &str, reply: &'static str, content: &Value) -> Result<(), ClientError> {
        let (msg_id, frames) = self.message(request, b"{}", &json!({}), content);
        Self::send(&mut self.control, request, frames).await?;
        let wait = async {
            loop {
                if receive(self.control.recv().await)?.is_some_and(|message| message.answers(&msg_id, reply)) {
                    return Ok(());
                }
            }
        };
        timeout(CONTROL, wait).await.map_err(|_| ClientError::Silent { expected: reply, after: CONTROL })?
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("session", &self.session).finish_non_exhaustive()
    }
}
