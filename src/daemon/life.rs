use std::pin::pin;

use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::protocol::{Command, ProtocolHandle, ProtocolJoin};
use super::reload::{Caller, Loaded, Readings, Refusal};
use super::replace::{self, Replacement};
use super::signals::{Signals, Told};
use crate::report::{Answer, Event};
use crate::service::log::Log;
use crate::service::manager::{Stage, Stages};
use crate::service::{Order, checks};
use crate::types::{Exit, Failure};

/// The checks: what is asked of them, and the task that runs them until that channel is closed.
pub(super) struct Checks {
    pub(super) specs: mpsc::Sender<checks::Specs>,
    pub(super) task: JoinHandle<()>,
}

/// The life of the agent on the service side: what it is told from outside, until it has ended.
pub(super) struct Life {
    pub(super) agent: ProtocolHandle,
    /// `None` once it is stopping: while lingering no check decides anything, and a service manager may have ended its
    /// program.
    pub(super) specs: Option<mpsc::Sender<checks::Specs>>,
    pub(super) readings: Readings,
    /// `None` while it is under way.
    pub(super) replacement: Option<Replacement>,
    pub(super) orders: mpsc::Receiver<Order>,
    pub(super) stages: Stages,
    pub(super) log: Log,
}

impl Life {
    /// Heeds signals and orders until the agent has ended; then waits for `checks` to end too.
    pub(super) async fn run(
        mut self,
        mut signals: Signals,
        join: ProtocolJoin,
        checks: JoinHandle<()>,
    ) -> Result<(), Failure> {
        let mut ended = pin!(join.ended());
        let (replaced, mut back) = mpsc::channel(1);
        loop {
            tokio::select! {
                biased;
                () = &mut ended => break,
                told = signals.next() => self.told(told).await,
                Some(order) = self.orders.recv() => self.order(order, &replaced),
                Some(replacement) = back.recv() => self.replacement = Some(replacement),
                (result, callers) = self.readings.done() => self.take_over(result, callers).await,
            }
        }
        if self.specs.take().is_some() {
            return Err(Failure::new(Exit::Internal, "the protocol thread ended without having been told to"));
        }
        // It was told to end long ago; what is awaited is that its programs are gone.
        checks.await.ok();
        Ok(())
    }

    async fn told(&mut self, told: Told) {
        match told {
            Told::Stop => {
                let command = if self.specs.take().is_some() {
                    self.stages.tell(Stage::Stopping);
                    Command::Stop
                } else {
                    Command::StopAtOnce
                };
                // That it has stopped already is what `ended` tells.
                self.agent.send(command).await.ok();
            }
            Told::Leave => {
                self.specs.take();
                self.agent.send(Command::Leave).await.ok();
            }
            Told::Reload => self.reload(None),
            Told::Exhausted => self.take_realtime().await,
        }
    }

    fn order(&mut self, order: Order, back: &mpsc::Sender<Replacement>) {
        match order {
            Order::Reload(caller) => self.reload(Some(caller)),
            Order::Replace(caller) => self.replace(caller, back.clone()),
        }
    }

    /// Beside us, as it may take a while; it comes back only if this program goes on.
    fn replace(&mut self, caller: UnixStream, back: mpsc::Sender<Replacement>) {
        let refusal = match (self.replacement.take(), &self.specs) {
            (Some(replacement), Some(_)) => {
                let (agent, stages, log) = (self.agent.clone(), self.stages.clone(), self.log.clone());
                tokio::spawn(async move {
                    // Whoever has stopped meanwhile needs it no more.
                    back.send(replacement.run(caller, agent, stages, log).await).await.ok();
                });
                return;
            }
            (None, Some(_)) => "another program is about to take over already",
            (replacement, None) => {
                self.replacement = replacement;
                "the agent is stopping"
            }
        };
        tokio::spawn(async move { replace::tell(caller, &Answer::refused(refusal)).await });
    }

    fn reload(&mut self, caller: Option<Caller>) {
        self.stages.tell(Stage::Reloading);
        self.readings.ask(caller);
    }

    async fn take_realtime(&self) {
        if let Err(error) = self.agent.take_realtime() {
            let what = "schedule adverts like any program".to_owned();
            self.log.tell(Event::SystemRefused { router: None, what, error: error.to_string() });
        }
        self.agent.send(Command::RealtimeTaken).await.ok();
    }

    async fn take_over(&mut self, loaded: Result<Loaded, Refusal>, callers: Vec<Caller>) {
        let (loaded, specs) = match (loaded, &self.specs) {
            (Ok(loaded), Some(specs)) => (loaded, specs),
            (Ok(_), None) => return self.refuse(Refusal::other("the agent is stopping"), callers),
            (Err(refusal), Some(_) | None) => return self.refuse(refusal, callers),
        };
        warn(&self.log, loaded.warnings);
        let checks = loaded.config.checks_in_use();
        let (reply, outcome) = oneshot::channel();
        // First the agent, so that it knows the checks whose results come.
        self.agent.send(Command::Reload(Box::new(loaded.config), reply)).await.ok();
        specs.send(checks).await.ok();
        let stages = self.stages.clone();
        // The protocol thread may take its time, and signals are heeded meanwhile.
        tokio::spawn(async move {
            let answer = match outcome.await {
                Ok(done) => Answer::Done { done },
                Err(_) => Answer::refused("the agent is stopping"),
            };
            tell_all(callers, &answer);
            stages.tell(Stage::Reloaded);
        });
    }

    fn refuse(&self, refusal: Refusal, callers: Vec<Caller>) {
        self.log.tell(Event::ReloadRefused { why: refusal.line.clone() });
        tell_all(callers, &refusal.answer());
        self.stages.tell(Stage::Refused);
    }
}

fn tell_all(callers: Vec<Caller>, answer: &Answer) {
    for caller in callers {
        // Whoever asked may have gone away since.
        drop(caller.send(answer.clone()));
    }
}

/// Tells what a configuration hardly means.
pub(super) fn warn(log: &Log, warnings: Vec<String>) {
    for what in warnings {
        log.tell(Event::ConfigWarning { what });
    }
}
