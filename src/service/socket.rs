//! The status socket, `locum.sock` in the runtime directory: one line of JSON in, one line of JSON out.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::timeout;

use super::{Order, Request};
use crate::io::clock;
use crate::report::Answer;
use crate::types::Instant;

/// Clients at once. One more takes the place of the oldest: served ones are gone in a moment, so that one hangs.
const CLIENTS: usize = 16;
/// Longest line a client may send, in bytes.
const LONGEST_REQUEST: u64 = 4096;
/// How long a client may take to ask, and again to fetch its answer.
const CLIENT_PATIENCE: Duration = Duration::from_secs(2);
/// How long the agent may take to say how things stand.
const AGENT_PATIENCE: Duration = Duration::from_secs(1);
/// The agent is asked this often at most, so that no storm of questions becomes one of work for it.
const SPACING: Duration = Duration::from_millis(20);
/// How long a reload may take: a disk that answers at all does within it.
const RELOAD_PATIENCE: Duration = Duration::from_secs(20);
/// How long nobody is let in after the system refused to let somebody in (no more descriptors).
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

#[derive(Deserialize)]
struct Question {
    command: String,
    /// With `reload`: by the program on disk.
    #[serde(default)]
    exec: bool,
}

/// Opens the socket for root and its group (mode 0660), in place of one that an agent before us left.
///
/// # Errors
/// The system's.
pub fn open(path: &Path) -> io::Result<UnixListener> {
    let new = path.with_extension("sock.new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&new)?;
    fs::set_permissions(&new, fs::Permissions::from_mode(0o660))?;
    // Only under its own name once nobody is let in whom the mode keeps out.
    fs::rename(&new, path)?;
    Ok(listener)
}

/// Answers clients for as long as it is polled. All of them end with it.
pub async fn serve(listener: UnixListener, agent: mpsc::Sender<Request>, orders: mpsc::Sender<Order>) {
    let desk = Arc::new(Desk { status: StatusCache { agent, last: Mutex::new(None) }, orders });
    let mut clients = Clients::default();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let desk = Arc::clone(&desk);
                clients.add(tokio::spawn(async move { answer(stream, &desk).await }).abort_handle());
            }
            Err(_) => tokio::time::sleep(REFUSED_PAUSE).await,
        }
    }
}

/// Those being served, oldest first.
#[derive(Default)]
struct Clients(VecDeque<AbortHandle>);

impl Clients {
    fn add(&mut self, client: AbortHandle) {
        self.0.retain(|client| !client.is_finished());
        if self.0.len() >= CLIENTS
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(client);
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.0.iter().for_each(AbortHandle::abort);
    }
}

/// A client that is gone or too slow gets no answer and misses none.
async fn answer(mut stream: UnixStream, desk: &Desk) {
    let Ok(Some(line)) = timeout(CLIENT_PATIENCE, read_line(&mut stream)).await else { return };
    let answer = match serde_json::from_slice::<Question>(&line) {
        Ok(Question { command, exec: true }) if command == "reload" => match desk.replace(stream) {
            None => return,
            Some((caller, refusal)) => {
                stream = caller;
                refusal
            }
        },
        Ok(question) => desk.reply(&question.command).await,
        Err(_) if line.len() as u64 > LONGEST_REQUEST => refusal("the request has more than 4096 bytes"),
        Err(_) => refusal("not a request: send one line like {\"command\":\"status\"}"),
    };
    let write = async {
        stream.write_all(answer.as_bytes()).await?;
        stream.write_all(b"\n").await?;
        stream.shutdown().await
    };
    timeout(CLIENT_PATIENCE, write).await.ok();
}

async fn read_line(stream: &mut UnixStream) -> Option<Vec<u8>> {
    let mut line = Vec::new();
    let mut limited = BufReader::new(stream.take(LONGEST_REQUEST + 1));
    limited.read_until(b'\n', &mut line).await.ok()?;
    (!line.is_empty()).then_some(line)
}

/// Whom a client's line is for.
struct Desk {
    status: StatusCache,
    orders: mpsc::Sender<Order>,
}

impl Desk {
    async fn reply(&self, command: &str) -> Arc<str> {
        match command {
            "status" => self.status.get().await,
            "reload" => text(&self.reload().await),
            _ => refusal("unknown command; this agent knows: status, reload"),
        }
    }

    /// Whoever carries it out answers. If nobody does the client comes back, with what to tell it.
    fn replace(&self, caller: UnixStream) -> Option<(UnixStream, Arc<str>)> {
        let refused = self.orders.try_send(Order::Replace(caller)).err()?;
        let answer = not_taken(&refused);
        match refused.into_inner() {
            Order::Replace(caller) => Some((caller, text(&answer))),
            Order::Reload(_) => None,
        }
    }

    async fn reload(&self) -> Answer {
        let (reply, answer) = oneshot::channel();
        if let Err(error) = self.orders.try_send(Order::Reload(reply)) {
            return not_taken(&error);
        }
        match timeout(RELOAD_PATIENCE, answer).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_)) => Answer::refused("the agent is stopping"),
            Err(_) => Answer::refused("the configuration could not be read within 20 s; the reload goes on"),
        }
    }
}

fn not_taken(error: &mpsc::error::TrySendError<Order>) -> Answer {
    Answer::refused(match error {
        mpsc::error::TrySendError::Full(_) => "the agent is too busy to take another order",
        mpsc::error::TrySendError::Closed(_) => "the agent is stopping",
    })
}

fn refusal(error: &str) -> Arc<str> {
    text(&Answer::refused(error))
}

fn text(answer: &Answer) -> Arc<str> {
    serde_json::to_string(answer).unwrap_or_else(|_| "{\"error\":\"internal\"}".to_owned()).into()
}

/// The last status as text, and when it was asked for. It answers all questions that came before that moment, so
/// nobody is told what held before he asked.
struct StatusCache {
    agent: mpsc::Sender<Request>,
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl StatusCache {
    async fn get(&self) -> Arc<str> {
        let came_at = clock::now();
        let mut last = self.last.lock().await;
        if let Some((asked_at, text)) = &*last {
            if *asked_at > came_at {
                return Arc::clone(text);
            }
            tokio::time::sleep((*asked_at + SPACING).since(clock::now())).await;
        }
        let asked_at = clock::now();
        let text = timeout(AGENT_PATIENCE, self.ask()).await.unwrap_or_else(|_| {
            refusal("the agent did not say within a second how things stand: it may be stopped by a debugger")
        });
        *last = Some((asked_at, Arc::clone(&text)));
        text
    }

    async fn ask(&self) -> Arc<str> {
        let (reply, answer) = oneshot::channel();
        if self.agent.send(Request::Snapshot(reply)).await.is_err() {
            return refusal("the agent is stopping");
        }
        match answer.await {
            Ok(status) => serde_json::to_string(&status).map_or_else(|error| refusal(&error.to_string()), Into::into),
            Err(_) => refusal("the agent is stopping"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::PathBuf;

    use super::*;
    use crate::report::status::Status;

    struct Bench {
        path: PathBuf,
        asked: Arc<std::sync::atomic::AtomicUsize>,
    }

    impl Bench {
        /// A served socket whose agent counts how often it is asked.
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("locum-socket-{}-{name}.sock", std::process::id()));
            let (agent, mut requests) = mpsc::channel(4);
            let listener = open(&path).expect("opened");
            let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            let counter = Arc::clone(&asked);
            tokio::spawn(async move {
                while let Some(Request::Snapshot(reply)) = requests.recv().await {
                    counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    reply.send(status()).expect("somebody waits");
                }
            });
            let (orders, mut ordered) = mpsc::channel(1);
            tokio::spawn(serve(listener, agent, orders));
            tokio::spawn(async move {
                while let Some(Order::Reload(reply)) = ordered.recv().await {
                    reply.send(Answer::Done { done: "reloaded".to_owned() }).expect("somebody waits");
                }
            });
            Bench { path, asked }
        }

        async fn connect(&self) -> UnixStream {
            UnixStream::connect(&self.path).await.expect("connected")
        }

        async fn ask(&self, request: &[u8]) -> String {
            let mut stream = self.connect().await;
            stream.write_all(request).await.expect("sent");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("an answer");
            answer
        }
    }

    impl Drop for Bench {
        fn drop(&mut self) {
            fs::remove_file(&self.path).expect("the socket file can be removed");
        }
    }

    fn status() -> Status {
        Status {
            version: 1,
            node: "lb1".to_owned(),
            program: "0".to_owned(),
            now: String::new(),
            uptime: 1.0,
            hint: None,
            lateness: crate::report::status::Lateness::default(),
            stopping: false,
            realtime: Default::default(),
            routers: BTreeMap::new(),
            checks: BTreeMap::new(),
            discards: BTreeMap::new(),
        }
    }

    fn on_runtime(test: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(test);
    }

    #[test]
    fn a_question_gets_the_document_and_nonsense_an_error() {
        on_runtime(async {
            let bench = Bench::new("answers");
            let answer = bench.ask(b"{\"command\":\"status\"}\n").await;
            assert_eq!(serde_json::from_str::<Status>(&answer).expect("a document"), status());
            assert!(answer.ends_with("}\n"));
            for (request, expected) in [
                (
                    &b"{\"command\":\"dance\"}\n"[..],
                    "{\"error\":\"unknown command; this agent knows: status, reload\"}\n",
                ),
                (b"{\"command\":\"reload\"}\n", "{\"done\":\"reloaded\"}\n"),
                (b"status\n", "{\"error\":\"not a request: send one line like {\\\"command\\\":\\\"status\\\"}\"}\n"),
                (&[b'x'; 4097], "{\"error\":\"the request has more than 4096 bytes\"}\n"),
            ] {
                assert_eq!(bench.ask(request).await, expected);
            }
        });
    }

    #[test]
    fn a_socket_file_left_by_a_crash_is_replaced_and_strangers_are_kept_out() {
        on_runtime(async {
            let bench = Bench::new("stale");
            drop(open(&bench.path).expect("in place of the one that is there"));
            let again = open(&bench.path).expect("in place of one whose agent is gone");
            assert_eq!(fs::metadata(&bench.path).expect("there").permissions().mode() & 0o777, 0o660);
            drop(again);
        });
    }

    #[test]
    fn a_hundred_clients_that_hang_keep_nobody_waiting() {
        on_runtime(async {
            let bench = Bench::new("hung");
            let mut hung = Vec::new();
            for number in 0..100 {
                let mut stream = bench.connect().await;
                if number % 2 == 0 {
                    stream.write_all(b"{\"comm").await.expect("sent");
                }
                hung.push(stream);
            }
            assert!(bench.ask(b"{\"command\":\"status\"}\n").await.contains("lb1"));
            // The first ones have lost their places; nobody waited for their two seconds.
            let mut nothing = Vec::new();
            assert_eq!(hung[0].read_to_end(&mut nothing).await.expect("closed"), 0);
        });
    }

    #[test]
    fn a_storm_of_questions_is_one_to_the_agent_now_and_then() {
        on_runtime(async {
            let bench = Bench::new("storm");
            let before = clock::now();
            for _ in 0..5 {
                let mut answers = Vec::new();
                // All have asked before the first answer is awaited.
                let mut streams = Vec::new();
                for _ in 0..12 {
                    let mut stream = bench.connect().await;
                    stream.write_all(b"{\"command\":\"status\"}\n").await.expect("sent");
                    streams.push(stream);
                }
                for mut stream in streams {
                    let mut answer = String::new();
                    stream.read_to_string(&mut answer).await.expect("an answer");
                    answers.push(answer);
                }
                assert!(answers.iter().all(|answer| answer.contains("lb1")));
            }
            let windows = clock::now().since(before).as_millis() / SPACING.as_millis();
            let asked = bench.asked.load(std::sync::atomic::Ordering::Relaxed) as u128;
            assert!(asked >= 5 && asked <= windows + 1, "asked {asked} times in {windows} windows");
        });
    }
}
