use proptest::prelude::*;

use super::*;
use crate::types::WallOffsets;

const WINDOW: Duration = Duration::from_secs(5);
const HOUR: i64 = 3_600;
/// 2026-11-21 around noon.
const EPOCH: u64 = 1_795_220_000;

fn sender() -> (IpAddr, KeyId) {
    ("192.0.2.3".parse().unwrap(), KeyId::new(7).unwrap())
}

fn instant(millis: u64) -> Instant {
    Instant::from_nanos((1_000_000 + millis) * 1_000_000)
}

/// What a clock shows at a moment that is wrong by so many milliseconds.
fn shown(millis: u64, wrong: i64) -> u64 {
    (EPOCH * 1000 + millis).saturating_add_signed(wrong) * 1_000_000
}

/// Of a clock that is wrong by so many seconds.
fn sequence(millis: u64, wrong: i64) -> Sequence {
    Sequence::at(shown(millis, wrong * 1000))
}

/// One of two hosts, each with a clock of its own.
#[derive(Default)]
struct Host {
    wrong: i64,
    wall: Wall,
    outgoing: Outgoing,
    incoming: Incoming,
}

impl Host {
    fn right() -> Self {
        let mut host = Host::default();
        host.look(0);
        host
    }

    fn look(&mut self, millis: u64) {
        self.wall.read(instant(millis), shown(millis, self.wrong));
    }

    fn set(&mut self, millis: u64, wrong: i64) {
        self.wrong = wrong;
        self.look(millis);
    }

    fn send(&mut self, millis: u64) -> Vec<Sequence> {
        self.look(millis);
        self.outgoing.next(instant(millis), &self.wall, WINDOW)
    }

    fn hear(&mut self, millis: u64, sequence: Sequence) -> Result<(), Discard> {
        self.look(millis);
        let moment = Moment { at: instant(millis), wall: &self.wall, window: WINDOW };
        self.incoming.judge(moment, sender(), sequence)?;
        self.incoming.accept(moment, sender(), sequence);
        Ok(())
    }

    /// The agent ends and another begins, with what it left.
    fn restart(&mut self) {
        let (marks, offsets): (Vec<Mark>, WallOffsets) = (self.incoming.marks(), self.wall.offsets());
        self.incoming = Incoming::default();
        self.incoming.restore(&marks);
        self.wall = Wall::default();
        self.wall.succeed(offsets, Instant::default());
    }

    /// The host boots: nothing is left.
    fn boot(&mut self, millis: u64) {
        *self = Host { wrong: self.wrong, ..Host::default() };
        self.look(millis);
    }
}

#[test]
fn numbers_are_the_clock_or_grow_by_one() {
    let mut host = Host::right();
    assert_eq!(host.send(1_500), [sequence(1_500, 0)]);
    assert_eq!(host.send(1_500)[0].number(), sequence(1_500, 0).number() + 1);
    // Steered back by half a second: not a step.
    host.wall.read(instant(2_000), shown(1_500, 0));
    let [number] = host.outgoing.next(instant(2_000), &host.wall, WINDOW)[..] else { panic!() };
    assert_eq!(number.number(), sequence(1_500, 0).number() + 2);
    // Set back by three seconds, which is within the window.
    host.set(3_000, -3 * 1000);
    let [number] = host.send(3_000)[..] else { panic!() };
    assert_eq!(number.number(), sequence(1_500, 0).number() + 3);
    assert_eq!(host.send(6_000), [sequence(6_000, -3)]);
}

#[test]
fn a_clock_set_by_more_than_the_window_is_taken_and_the_former_one_goes_on_beside_it() {
    let mut host = Host::right();
    host.send(1_000);
    host.set(2_000, -HOUR * 1000);
    assert_eq!(host.send(2_000), [sequence(2_000, -HOUR), sequence(2_000, 0)]);
    assert_eq!(host.send(3_000), [sequence(3_000, -HOUR), sequence(3_000, 0)]);
    // Put right again: the former one is not needed any more.
    host.set(4_000, 0);
    assert_eq!(host.send(4_000), [sequence(4_000, 0)]);
    // Ahead by mistake: who does not know us, or has heard us further ahead, takes the former one alone.
    host.set(5_000, HOUR * 1000);
    assert_eq!(host.send(5_000), [sequence(5_000, HOUR), sequence(5_000, 0)]);
    host.set(6_000, 0);
    assert_eq!(host.send(6_000), [sequence(6_000, 0)]);
}

#[test]
fn a_last_number_ahead_of_the_clock_at_start_is_not_clung_to() {
    let mut host = Host::right();
    host.outgoing.sent = vec![sequence(1_000, HOUR)];
    assert_eq!(host.send(1_000), [sequence(1_000, 0)]);
    host.outgoing.sent = vec![sequence(1_000, 4)];
    assert_eq!(host.send(1_000)[0].number(), sequence(1_000, 4).number() + 1);
}

#[test]
fn who_was_not_heard_yet_is_taken_within_the_window_only() {
    for (offset, verdict) in [
        (0, Ok(())),
        (5, Ok(())),
        (-5, Ok(())),
        (6, Err(Discard::AuthStale)),
        (-6, Err(Discard::AuthStale)),
        (-86_400, Err(Discard::AuthStale)),
    ] {
        assert_eq!(Host::right().hear(1_000, sequence(1_000, offset)), verdict, "{offset} s");
    }
}

#[test]
fn the_same_advert_again_or_an_older_one_is_a_replay() {
    let mut host = Host::right();
    host.hear(1_000, sequence(1_000, 0)).unwrap();
    assert_eq!(host.hear(1_000, sequence(1_000, 0)), Err(Discard::AuthReplayed));
    host.hear(2_000, sequence(2_000, 0)).unwrap();
    assert_eq!(host.hear(2_100, sequence(1_000, 0)), Err(Discard::AuthReplayed));
    assert_eq!(host.hear(86_402_000, sequence(2_000, 0)), Err(Discard::AuthStale));
    // Recorded while nobody here heard it, and sent a day later.
    assert_eq!(host.hear(86_402_000, sequence(3_000, 0)), Err(Discard::AuthStale));
    host.hear(86_402_000, sequence(86_402_000, 0)).unwrap();
}

#[test]
fn another_sender_and_another_key_have_marks_of_their_own_and_their_number_is_bounded() {
    let mut incoming = Incoming::default();
    let wall = Host::right().wall;
    for host in 0..200_u8 {
        let moment = Moment { at: instant(u64::from(host)), wall: &wall, window: WINDOW };
        let sender = (IpAddr::from([192, 0, 2, host]), KeyId::new(1 + host % 2).unwrap());
        assert_eq!(incoming.judge(moment, sender, sequence(1, 0)), Ok(()));
        incoming.accept(moment, sender, sequence(1, 0));
    }
    assert_eq!(incoming.marks().len(), 32);
    assert_eq!(incoming.marks()[0].source, IpAddr::from([192, 0, 2, 168]));
}

#[test]
fn who_has_most_numbers_that_are_ahead_makes_room_for_another() {
    let mut incoming = Incoming::default();
    let wall = Host::right().wall;
    let sender = |host: u8| (IpAddr::from([192, 0, 2, host]), KeyId::new(7).unwrap());
    let mut accept = |host: u8, millis: u64| {
        let moment = Moment { at: instant(millis), wall: &wall, window: WINDOW };
        incoming.accept(moment, sender(host), sequence(millis, HOUR));
    };
    (0..10).for_each(|count| accept(1, count * 1_000));
    (0..5_000).for_each(|count| accept(2, count * 1_000));
    let ahead: Vec<usize> = incoming.marks().iter().map(|mark| mark.ahead.len()).collect();
    assert_eq!(ahead, [10, 4_086]);
    assert_eq!(incoming.marks()[1].ahead[0], sequence(914_000, HOUR));
    // What is read again is bounded too.
    let mut marks = incoming.marks();
    marks[0].ahead = marks[1].ahead.iter().map(|number| number.next()).collect();
    let mut again = Incoming::default();
    again.restore(&marks);
    assert_eq!(again.marks().iter().map(|mark| mark.ahead.len()).sum::<usize>(), 4_096);
}

#[test]
fn an_hours_mistake_of_the_sender_and_its_end_stop_nothing_and_nothing_of_it_is_taken_twice() {
    let mut host = Host::right();
    host.hear(1_000, sequence(1_000, 0)).unwrap();
    host.hear(2_000, sequence(2_000, HOUR)).unwrap();
    host.hear(3_000, sequence(3_000, HOUR)).unwrap();
    host.hear(4_000, sequence(4_000, 0)).unwrap();
    assert_eq!(host.hear(4_500, sequence(3_000, HOUR)), Err(Discard::AuthStale));
    assert_eq!(host.hear(4_500, sequence(1_000, 0)), Err(Discard::AuthReplayed));
    // An hour later these numbers are within the window.
    host.restart();
    host.hear(3_601_500, sequence(3_601_500, 0)).unwrap();
    assert_eq!(host.hear(3_601_600, sequence(2_000, HOUR)), Err(Discard::AuthReplayed));
    assert_eq!(host.hear(3_601_600, sequence(3_000, HOUR)), Err(Discard::AuthReplayed));
    host.hear(3_602_500, sequence(3_602_500, 0)).unwrap();
}

#[derive(Debug, Clone)]
enum Happening {
    Nothing,
    /// The sender's clock is set wrong by so many hours.
    SetSender(i64),
    SetReceiver(i64),
    RestartSender,
    RestartReceiver,
    /// Hosts boot with a right clock: whoever boots with a wrong one is refused until it is right.
    BootSender,
    BootReceiver,
    /// This advert overtakes the one before.
    Overtaken,
    Lost,
    /// Somebody sends an old one again, counted back from the newest.
    Replayed(usize),
    /// Nothing happens for so many seconds, but for one advert each second; then an old one comes again.
    Later(u16, usize),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let one = prop_oneof![
        4 => Just(Happening::Nothing),
        2 => (-1_i64..=1).prop_map(Happening::SetSender),
        2 => (-1_i64..=1).prop_map(Happening::SetReceiver),
        1 => Just(Happening::RestartSender),
        1 => Just(Happening::RestartReceiver),
        1 => Just(Happening::BootSender),
        1 => Just(Happening::BootReceiver),
        1 => Just(Happening::Overtaken),
        1 => Just(Happening::Lost),
        3 => (0_usize..5_000).prop_map(Happening::Replayed),
        1 => (0_u16..4_000, 0_usize..5_000).prop_map(|(seconds, back)| Happening::Later(seconds, back)),
    ];
    proptest::collection::vec(one, 1..40)
}

/// A sender and a receiver, an advert each second, and all that was ever on the wire between them.
struct Pair {
    millis: u64,
    sender: Host,
    receiver: Host,
    wire: Vec<Sequence>,
    accepted: BTreeSet<Sequence>,
    settings: u64,
}

impl Pair {
    fn deliver(&mut self, number: Sequence) -> bool {
        let taken = self.receiver.hear(self.millis, number).is_ok();
        if taken {
            assert!(self.accepted.insert(number), "{number:?} was taken twice");
        }
        taken
    }

    /// Never the same one twice: no clock is set back to the microsecond at which an advert went out.
    fn about_an_hour(&self) -> i64 {
        HOUR * 1_000 + i64::try_from(self.settings).unwrap()
    }

    /// One advert, which must be taken.
    fn second(&mut self) {
        self.millis += 1_000;
        let numbers = self.sender.send(self.millis);
        self.wire.extend(&numbers);
        let taken = numbers.iter().filter(|number| self.deliver(**number)).count();
        let wrong = (self.sender.wrong, self.receiver.wrong);
        assert!(taken > 0, "at {} none of {numbers:?} was taken, clocks wrong by {wrong:?} ms", self.millis);
    }

    fn replay(&mut self, back: usize) {
        let Some(number) = self.wire.iter().rev().nth(back).copied() else { return };
        // One that was lost on its way may come late, once.
        if self.accepted.contains(&number) {
            self.deliver(number);
        }
    }

    fn happen(&mut self, what: &Happening) {
        self.settings += 1;
        match what {
            Happening::Nothing => {}
            Happening::SetSender(hours) => self.sender.set(self.millis, hours * self.about_an_hour()),
            Happening::SetReceiver(hours) => self.receiver.set(self.millis, hours * self.about_an_hour()),
            Happening::RestartSender => {
                self.sender.restart();
            }
            Happening::RestartReceiver => self.receiver.restart(),
            Happening::BootSender if self.sender.wrong == 0 => self.sender.boot(self.millis),
            Happening::BootReceiver if (self.sender.wrong, self.receiver.wrong) == (0, 0) => {
                self.receiver.boot(self.millis);
                // What it took within the last window, or ahead of its clock, it may take again: the limit of memory.
                let now = shown(self.millis, 0);
                self.wire.retain(|number| number.behind(now) > 0);
                self.millis += 20_000;
            }
            Happening::BootSender | Happening::BootReceiver => {}
            Happening::Overtaken => {
                self.millis += 1_000;
                let first = self.sender.send(self.millis);
                self.wire.extend(&first);
                self.second();
                first.into_iter().for_each(|number| {
                    self.deliver(number);
                });
            }
            Happening::Lost => {
                self.millis += 1_000;
                let lost = self.sender.send(self.millis);
                self.wire.extend(lost);
            }
            Happening::Replayed(back) => self.replay(*back),
            Happening::Later(seconds, back) => {
                (0..*seconds).for_each(|_| self.second());
                self.replay(*back);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_to_clocks_and_agents_adverts_are_taken_and_none_twice(happenings in happenings()) {
        let mut pair = Pair {
            millis: 1_000,
            sender: Host::right(),
            receiver: Host::right(),
            wire: Vec::new(),
            accepted: BTreeSet::new(),
            settings: 0,
        };
        pair.second();
        for what in &happenings {
            pair.happen(what);
            pair.second();
        }
    }
}
