//! What is said of generated code that is out of date.

use super::{Changed, Existing, leftover};
use crate::event::{Fault, count};

/// What is out of date, with these notes, and what only a person can settle.
pub fn drift(files: &[Changed], notes: Vec<String>) -> impl Iterator<Item = Fault> {
    let of = |state| files.iter().filter(move |file| file.state == state);
    let edited: Vec<_> = of(Existing::Edited).map(|file| file.path.clone()).collect();
    let edited = leftover::edited(&edited);
    let states: Vec<_> = [
        (of(Existing::Changed).count(), "changed"),
        (of(Existing::Missing).count(), "missing"),
        (of(Existing::Stale).count(), "no longer generated"),
    ]
    .into_iter()
    .filter(|(files, _)| *files > 0)
    .map(|(files, word)| format!("{} {word}", count(files, "file")))
    .collect();
    let stale = (!states.is_empty()).then(|| {
        let states = states.join(", ");
        let fault = Fault::new(format!("generated code is out of date: {states}"));
        let fault = notes.into_iter().fold(fault, Fault::note);
        fault.help("run `devenv proto`")
    });
    edited.into_iter().chain(stale)
}
