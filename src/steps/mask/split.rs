//! Which parts of a variable's value are secrets, told by the plain text of its template around them.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{Part, Template};

/// What stands in the place of a reference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gap {
    Secret,
    /// Only its password is one.
    Url,
    /// Nothing to hide.
    Open,
}

enum Piece {
    Text(String),
    Gap(Gap),
}

/// More than these cannot all be meant: the longest has to do.
const MOST: usize = 16;

/// What to mask of this value. `known` is what secrets are now, which tells those without text between them; `gap` is `None` for
/// plain text. Where several splits fit, what is secret in any; where none fits, all of the value.
pub fn split<'v>(
    template: &Template,
    value: &'v str,
    known: &BTreeMap<String, String>,
    gap: impl Fn(&Part) -> Option<Gap>,
) -> BTreeSet<&'v str> {
    let by_text = fillings(&pieces(template, &BTreeMap::new(), &gap), value);
    let is_sure = |fillings: &Fillings<'_>| fillings.iter().all(|(_, texts)| texts.len() == 1);
    let fillings = match by_text {
        Some(fillings) if is_sure(&fillings) && !has_neighbours(template) => Some(fillings),
        by_text => fillings(&pieces(template, known, &gap), value).or(by_text),
    };
    let Some(fillings) = fillings else {
        return [value].into();
    };
    let mut secrets = BTreeSet::new();
    for (gap, mut texts) in fillings {
        if texts.len() > MOST {
            texts = texts
                .into_iter()
                .max_by_key(|text| text.len())
                .into_iter()
                .collect();
        }
        for text in texts {
            let password = password(text);
            match gap {
                Gap::Open => {}
                Gap::Url => {
                    secrets.insert(password.unwrap_or(text));
                }
                Gap::Secret => {
                    secrets.insert(text);
                    secrets.extend(password);
                }
            }
        }
    }
    secrets
}

/// Whether two references stand side by side: no text tells where one ends.
fn has_neighbours(template: &Template) -> bool {
    let is_plain = |part: &Part| matches!(part, Part::Text(_));
    let mut pairs = template.parts.windows(2);
    pairs.any(|pair| !pair.iter().any(is_plain))
}

/// Neighbours are one.
fn pieces(
    template: &Template,
    known: &BTreeMap<String, String>,
    gap: &impl Fn(&Part) -> Option<Gap>,
) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for part in &template.parts {
        let text = match part {
            Part::Text(text) => Some(text),
            Part::Secret { name } => known.get(name),
            Part::Field { .. } => None,
        };
        let next = gap(part).unwrap_or(Gap::Open);
        match (pieces.last_mut(), text) {
            (Some(Piece::Text(last)), Some(text)) => last.push_str(text),
            (_, Some(text)) => pieces.push(Piece::Text(text.clone())),
            (Some(Piece::Gap(last)), None) if *last == next => {}
            (Some(Piece::Gap(last)), None) => *last = Gap::Secret,
            (_, None) => pieces.push(Piece::Gap(next)),
        }
    }
    pieces
}

/// Each gap with all that can stand there.
type Fillings<'v> = Vec<(Gap, BTreeSet<&'v str>)>;

/// `None` when the value cannot be made of these pieces.
fn fillings<'v>(pieces: &[Piece], value: &'v str) -> Option<Fillings<'v>> {
    let places = places(pieces, value)?;
    let gaps = pieces.iter().zip(places.windows(2));
    let gaps = gaps.filter_map(|(piece, ends)| match piece {
        Piece::Text(_) => None,
        Piece::Gap(gap) => {
            let texts = ends[0].iter().flat_map(|start| {
                let ends = ends[1].range(start..);
                ends.map(|end| &value[*start..*end])
            });
            Some((*gap, texts.collect()))
        }
    });
    Some(gaps.collect())
}

/// Where each piece can begin, and the last one end, so that all of the value is covered.
fn places(pieces: &[Piece], value: &str) -> Option<Vec<BTreeSet<usize>>> {
    let cuts = || (0..=value.len()).filter(|at| value.is_char_boundary(*at));
    let mut places = vec![BTreeSet::from([0])];
    for piece in pieces {
        let from = places.last().expect("it begins with one");
        let to = match (piece, from.first()) {
            (Piece::Text(text), _) => {
                let fits = from.iter().filter(|at| value[**at..].starts_with(text));
                fits.map(|at| at + text.len()).collect()
            }
            (Piece::Gap(_), Some(first)) => cuts().filter(|at| at >= first).collect(),
            (Piece::Gap(_), None) => BTreeSet::new(),
        };
        places.push(to);
    }
    // Back from the end, only what leads there stays.
    places.last_mut()?.retain(|at| *at == value.len());
    for (index, piece) in pieces.iter().enumerate().rev() {
        let (before, after) = places.split_at_mut(index + 1);
        let after = &after[0];
        before[index].retain(|at| match piece {
            Piece::Text(text) => after.contains(&(at + text.len())),
            Piece::Gap(_) => after.last().is_some_and(|last| at <= last),
        });
    }
    (!places[0].is_empty()).then_some(places)
}

/// The password of a URL.
fn password(value: &str) -> Option<&str> {
    let (_, rest) = value.split_once("://")?;
    let (login, _) = rest.split_once('@')?;
    Some(login.split_once(':')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(template: &str, value: &str, known: &[(&str, &str)], secrets: &[&str]) {
        let known = known
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()));
        let gap = |part: &Part| match part {
            Part::Text(_) => None,
            Part::Secret { .. } => Some(Gap::Secret),
            Part::Field { field, .. } if field == "url" => Some(Gap::Url),
            Part::Field { .. } => Some(Gap::Open),
        };
        let found = split(&Template::shown(template), value, &known.collect(), gap);
        assert!(found.iter().eq(secrets), "{found:?}");
    }

    #[test]
    fn each_of_several_secrets_is_told_by_the_text_between() {
        let two = "http://u:${secret.c}@h/${secret.t}";
        check(two, "http://u:first@h/second", &[], &["first", "second"]);
        // Though they are others now.
        let known = [("c", "third"), ("t", "fourth")];
        check(two, "http://u:first@h/second", &known, &["first", "second"]);
        check("${secret.a}", "all", &[], &["all"]);
        check("-${secret.a}-", "-a-b-", &[], &["a-b"]);
    }

    #[test]
    fn what_a_secret_is_now_tells_where_text_does_not() {
        let beside = "${secret.a}${secret.b}";
        check(beside, "firstsecond", &[("a", "first")], &["second"]);
        check(beside, "firstsecond", &[("b", "second")], &["first"]);
        check(beside, "firstsecond", &[], &["firstsecond"]);
        let dashed = "${secret.a}-${secret.b}";
        check(dashed, "x-y-z", &[("a", "x-y")], &["z"]);
        check(dashed, "x-y-z", &[], &["x", "x-y", "y-z", "z"]);
    }

    #[test]
    fn what_is_no_secret_is_not_masked() {
        check(
            "redis://:${secret.p}@${service.cache.host}:${service.cache.port}",
            "redis://:first@cache:6379",
            &[],
            &["first"],
        );
        check(
            "${postgres.db.url}?x=1",
            "postgres://u:pw@db:5432/d?x=1",
            &[],
            &["pw"],
        );
        let url = "amqp://me:pw@there";
        check("${secret.url}", url, &[], &[url, "pw"]);
        check("é${secret.a}é", "éüé", &[], &["ü"]);
    }

    #[test]
    fn a_value_that_does_not_fit_is_masked_as_a_whole() {
        check("u:${secret.a}", "another", &[], &["another"]);
    }
}
