//! Does a pre-push hook test the commits that are pushed? Each case is a real repository, a real bare remote and a real
//! `git push`, and says whether it has to be refused.
//!
//! `DEVENV_PREPUSH_TOOL=lefthook|prek|pre-commit|hk` scores another tool, found on PATH, in its natural configuration for "run
//! this command before a push"; `DEVENV_PREPUSH_CASE` picks cases. The score is printed with `--nocapture`.

mod cases;
mod tool;
mod world;

use std::{panic, sync::Mutex, thread};

use tool::Tool;
use world::World;

/// What a case found: an expectation that is not met is an error.
type Found = Result<(), String>;

/// A name, and what has to come of it.
type Case = (&'static str, fn(&World) -> Found);

#[test]
fn the_commits_that_are_pushed_are_checked() {
    let tool = Tool::chosen();
    let wanted = std::env::var("DEVENV_PREPUSH_CASE").unwrap_or_default();
    let cases: Vec<Case> = cases::ALL
        .iter()
        .filter(|(name, _)| name.contains(&wanted))
        .copied()
        .collect();
    let failed = run(tool, &cases);
    println!(
        "{}: {} of {} cases",
        tool.name(),
        cases.len() - failed.len(),
        cases.len()
    );
    for (name, why) in &failed {
        println!("  failed: {name}: {why}");
    }
    assert!(!cases.is_empty(), "no case is called like `{wanted}`");
    // Others are scored, not judged.
    assert!(failed.is_empty() || tool != Tool::Devenv, "{failed:#?}");
}

/// Those that failed, in the order of the list.
fn run(tool: Tool, cases: &[Case]) -> Vec<(&'static str, String)> {
    let open = Mutex::new(cases.iter().enumerate());
    let failed = Mutex::new(Vec::new());
    let work = || {
        loop {
            let next = open.lock().expect("no panic with it").next();
            let Some((index, (name, case))) = next else {
                return;
            };
            let found = panic::catch_unwind(|| {
                let world = World::new(tool);
                case(&world)
            });
            let found = found.unwrap_or_else(|_| Err("it could not be set up".to_owned()));
            if let Err(why) = found {
                failed
                    .lock()
                    .expect("no panic with it")
                    .push((index, (*name, why)));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(work);
        }
    });
    let mut failed = failed.into_inner().expect("no panic with it");
    failed.sort();
    failed.into_iter().map(|(_, failure)| failure).collect()
}
