//! Which host port a published port gets: the wanted ones first, then a free one of the range.
//!
//! Pure: what is free, and who holds what is not, comes from outside.

use std::collections::BTreeMap;

use super::{RuntimeError, SpecPort, Started};
use crate::{config::StepId, event::count};

/// What is known of this machine's ports.
pub struct Occupancy<'a> {
    pub is_free: &'a dyn Fn(u16) -> bool,
    /// Who holds a port that is not free, as part of a sentence: "`python3` (pid 12)".
    pub holder: &'a dyn Fn(u16) -> String,
}

/// Picks a host port for each of them. `identity` spreads worktrees over the range: each starts looking somewhere else.
pub fn choose(
    identity: &str,
    step: &StepId,
    ports: &[SpecPort],
    occupancy: &Occupancy<'_>,
) -> Result<Started, RuntimeError> {
    let mut chosen = BTreeMap::new();
    let mut moved = Vec::new();
    for port in ports {
        let free = |host: &u16| {
            !chosen.values().any(|taken| taken == host)
                && !port.others.contains_key(host)
                && (occupancy.is_free)(*host)
        };
        let wanted = port.wanted.iter().copied().find(free);
        let refused = port.wanted.iter().take_while(|host| Some(**host) != wanted);
        let refused: Vec<_> = refused
            .map(|host| (*host, why_not(*host, port, &chosen, occupancy)))
            .collect();
        let Some(host) = wanted.or_else(|| ladder(identity, step, port).find(free)) else {
            let range =
                (port.range.first..=port.range.last).filter(|host| !port.wanted.contains(host));
            let all = refused
                .into_iter()
                .chain(range.map(|host| (host, why_not(host, port, &chosen, occupancy))));
            return Err(RuntimeError::PortsTaken {
                step: step.clone(),
                port: port.name.clone(),
                held: by_holder(all),
                range: format!("{}-{}", port.range.first, port.range.last),
            });
        };
        moved.extend(
            refused
                .iter()
                .map(|(taken, why)| format!("port {taken} {}; using {host}", why.of_one())),
        );
        chosen.insert(port.name.clone(), host);
    }
    Ok(Started {
        ports: chosen,
        moved,
        new_volumes: Vec::new(),
        former_volumes: Vec::new(),
    })
}

/// Why a port cannot be had.
#[derive(PartialEq, Eq)]
enum WhyNot {
    /// Another port of the same step has it.
    Own(String),
    /// It is kept for a step that comes first.
    Kept(StepId),
    Held(String),
}

impl WhyNot {
    /// As part of a sentence: "is held by `python3` (pid 12)".
    fn of_one(&self) -> String {
        match self {
            Self::Kept(step) => format!("goes to `{step}`, which comes first"),
            Self::Own(_) | Self::Held(_) => self.of_ports(1),
        }
    }

    /// Of one port or several, whether they are in use or not.
    fn of_ports(&self, count: usize) -> String {
        let are = if count == 1 { "is" } else { "are" };
        match self {
            Self::Own(name) => format!("{are} held by `{name}` of the same step"),
            Self::Kept(step) => format!("{are} kept for `{step}` of this project"),
            Self::Held(holder) => format!("{are} held by {holder}"),
        }
    }
}

fn why_not(
    host: u16,
    port: &SpecPort,
    chosen: &BTreeMap<String, u16>,
    occupancy: &Occupancy<'_>,
) -> WhyNot {
    if let Some((name, _)) = chosen.iter().find(|(_, taken)| **taken == host) {
        return WhyNot::Own(name.clone());
    }
    match port.others.get(&host) {
        Some(other) => WhyNot::Kept(other.clone()),
        None => WhyNot::Held((occupancy.holder)(host)),
    }
}

/// How many holders are named, and how many groups of ports of each.
const NAMED: usize = 5;

/// A line for each holder, in the order of their first ports: "20000-20003, 20005 are held by `python3` (pid 12)".
fn by_holder(ports: impl IntoIterator<Item = (u16, WhyNot)>) -> Vec<String> {
    let mut holders: Vec<(WhyNot, Vec<u16>)> = Vec::new();
    for (host, why) in ports {
        match holders.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ports)) => ports.push(host),
            None => holders.push((why, vec![host])),
        }
    }
    let line = |(why, ports): &(WhyNot, Vec<u16>)| {
        format!("{} {}", in_short(ports), why.of_ports(ports.len()))
    };
    let mut lines: Vec<_> = holders.iter().take(NAMED).map(line).collect();
    let rest: Vec<_> = holders.iter().skip(NAMED).collect();
    if !rest.is_empty() {
        let ports: usize = rest.iter().map(|(_, ports)| ports.len()).sum();
        let (ports, holders) = (count(ports, "port"), count(rest.len(), "holder"));
        lines.push(format!("{ports} more, of {holders} more"));
    }
    lines
}

/// Neighbours as one: `8080, 20000-20003`.
fn in_short(ports: &[u16]) -> String {
    let mut runs: Vec<(u16, u16)> = Vec::new();
    for port in ports {
        match runs.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(*port) => *last = *port,
            _ => runs.push((*port, *port)),
        }
    }
    let text = |(first, last): &(u16, u16)| match first == last {
        true => first.to_string(),
        false => format!("{first}-{last}"),
    };
    let mut texts: Vec<_> = runs.iter().take(NAMED).map(text).collect();
    let rest = runs.iter().skip(NAMED);
    let more: usize = rest
        .map(|(first, last)| usize::from(last - first) + 1)
        .sum();
    if more > 0 {
        texts.push(format!("{more} more"));
    }
    texts.join(", ")
}

/// The whole range, from a place that depends on whose port it is.
fn ladder(identity: &str, step: &StepId, port: &SpecPort) -> impl Iterator<Item = u16> {
    let first = u32::from(port.range.first);
    let count = (u32::from(port.range.last) + 1).saturating_sub(first);
    let hash = blake3::hash(format!("{identity} {step} {}", port.name).as_bytes());
    let bytes = hash.as_bytes();
    let offset = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    (0..count).map(move |step| {
        let host = first + (offset % count + step) % count;
        u16::try_from(host).expect("within first..=last, both of which are ports")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::PortRange;

    fn port(name: &str, wanted: &[u16], range: (u16, u16)) -> SpecPort {
        SpecPort {
            name: name.into(),
            container: 80,
            wanted: wanted.to_vec(),
            others: BTreeMap::new(),
            range: PortRange {
                first: range.0,
                last: range.1,
            },
        }
    }

    fn pick(ports: &[SpecPort], taken: &[u16]) -> Result<Started, RuntimeError> {
        let occupancy = Occupancy {
            is_free: &|port| !taken.contains(&port),
            holder: &|_| "`nginx` (pid 7)".into(),
        };
        choose(
            "hello-1234",
            &"app.hello".parse().unwrap(),
            ports,
            &occupancy,
        )
    }

    #[test]
    fn wanted_ports_come_first_in_order() {
        let ports = [port("http", &[9001, 8080], (20000, 20009))];
        assert_eq!(pick(&ports, &[]).unwrap().ports["http"], 9001);
        let started = pick(&ports, &[9001]).unwrap();
        assert_eq!(started.ports["http"], 8080);
        assert_eq!(
            started.moved,
            ["port 9001 is held by `nginx` (pid 7); using 8080"]
        );
    }

    #[test]
    fn then_the_range_always_from_the_same_place() {
        let ports = [port("http", &[8080], (20000, 20009))];
        let first = pick(&ports, &[8080]).unwrap().ports["http"];
        assert_eq!(pick(&ports, &[8080]).unwrap().ports["http"], first);
        let second = pick(&ports, &[8080, first]).unwrap().ports["http"];
        assert!((20000..=20009).contains(&second) && second != first);
    }

    #[test]
    fn all_of_the_range_is_tried_before_giving_up() {
        let ports = [port("http", &[8080], (65530, 65535))];
        for free in 65530..=65535 {
            let taken: Vec<u16> = (65530..=65535)
                .filter(|port| *port != free)
                .chain([8080])
                .collect();
            assert_eq!(pick(&ports, &taken).unwrap().ports["http"], free);
        }
        let error = pick(&ports, &[8080, 65530, 65531, 65532, 65533, 65534, 65535]).unwrap_err();
        let RuntimeError::PortsTaken { held, range, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(held, &["8080, 65530-65535 are held by `nginx` (pid 7)"]);
        assert_eq!(range, "65530-65535");
    }

    #[test]
    fn two_ports_of_a_step_never_share() {
        let ports = [
            port("a", &[8080], (20000, 20001)),
            port("b", &[8080], (20000, 20001)),
        ];
        let started = pick(&ports, &[]).unwrap();
        assert_eq!(started.ports["a"], 8080);
        assert_ne!(started.ports["b"], 8080);
        assert!(started.moved[0].contains("`a` of the same step"));
    }

    #[test]
    fn what_another_step_comes_first_for_is_left_to_it() {
        let mut wanted = port("http", &[8080], (20000, 20001));
        let other: StepId = "app.first".parse().unwrap();
        wanted.others = [(8080, other.clone()), (20000, other)].into();
        let started = pick(&[wanted.clone()], &[]).unwrap();
        assert_eq!(started.ports["http"], 20001);
        assert_eq!(
            started.moved,
            ["port 8080 goes to `app.first`, which comes first; using 20001"]
        );
        let RuntimeError::PortsTaken { held, .. } = pick(&[wanted], &[20001]).unwrap_err() else {
            panic!("another error");
        };
        assert_eq!(
            held,
            [
                "8080, 20000 are kept for `app.first` of this project",
                "20001 is held by `nginx` (pid 7)"
            ]
        );
    }

    #[test]
    fn every_holder_is_named_in_a_handful_of_lines() {
        let fail = |holder: &dyn Fn(u16) -> String| {
            let occupancy = Occupancy {
                is_free: &|_| false,
                holder,
            };
            let ports = [port("http", &[8080], (20000, 20009))];
            let step = "app.hello".parse().unwrap();
            match choose("hello-1234", &step, &ports, &occupancy).unwrap_err() {
                RuntimeError::PortsTaken { held, .. } => held,
                error => panic!("{error}"),
            }
        };
        let held = fail(&|port| match port {
            8080 | 20003 => "`nginx` (pid 7)".into(),
            20009 => "`service.a`".into(),
            _ => "container `x` of project `y`".into(),
        });
        assert_eq!(
            held,
            [
                "8080, 20003 are held by `nginx` (pid 7)",
                "20000-20002, 20004-20008 are held by container `x` of project `y`",
                "20009 is held by `service.a`",
            ]
        );
        let held = fail(&|port| format!("`nginx` (pid {port})"));
        assert_eq!(held.len(), 6);
        assert_eq!(held[5], "6 ports more, of 6 holders more");
        let held = fail(&|port| format!("`{}`", port % 2));
        assert_eq!(
            held[0],
            "8080, 20000, 20002, 20004, 20006, 1 more are held by `0`"
        );
    }

    #[test]
    fn an_empty_range_is_an_error_not_a_panic() {
        assert!(pick(&[port("a", &[], (20001, 20000))], &[]).is_err());
    }
}
