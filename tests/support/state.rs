//! What the tests ask a project that is up.

use std::{collections::BTreeMap, path::Path, process::Command};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::Project;

impl Project {
    fn row(&self, step: &str) -> Value {
        let ps = self.ok(&["ps", "--output", "json"]);
        let rows: Vec<Value> = serde_json::from_str(&ps.stdout).expect("JSON");
        rows.into_iter()
            .find(|row| row["step"] == step)
            .unwrap_or_else(|| panic!("no {step} in {}", ps.all()))
    }

    /// Where its `http` port answers.
    #[track_caller]
    pub fn url(&self, step: &str) -> String {
        let row = self.row(step);
        let url = row["url"].as_str();
        url.unwrap_or_else(|| panic!("{row}")).to_owned()
    }

    pub fn state(&self, step: &str) -> String {
        self.row(step)["state"]
            .as_str()
            .expect("a state")
            .to_owned()
    }

    /// Id of its container.
    pub fn instance(&self, step: &str) -> String {
        self.row(step)["id"].as_str().expect("an id").to_owned()
    }

    /// The plain process that a step runs as.
    pub fn pid(&self, step: &str) -> Pid {
        let record = format!(".devenv/run/instances/{step}.json");
        let record: Value = serde_json::from_str(&self.read(&record)).expect("JSON");
        let pid = record["phase"]["leader"]["pid"].as_i64().expect("a pid");
        Pid::from_raw(i32::try_from(pid).expect("a pid")).expect("a pid")
    }

    pub fn kill(&self, step: &str) {
        kill_process(self.pid(step), Signal::KILL).expect("killed");
    }

    pub fn kill_supervisor(&self) {
        let lock = self.read(".devenv/run/supervisor.lock");
        let pid = lock.trim().trim_start_matches("pid ").parse();
        let pid = Pid::from_raw(pid.expect("a pid")).expect("a pid");
        kill_process(pid, Signal::KILL).expect("killed");
    }

    /// Until an `up` has nothing to do: on a busy machine a probe may not be answered in time.
    #[track_caller]
    pub fn comes_to_rest(&self) {
        super::wait_until(|| self.ok(&["up"]).stderr.contains("Nothing to do"));
    }

    /// The one value a query gives.
    #[track_caller]
    pub fn sql(&self, query: &str) -> String {
        let ran = self.ok(&["psql", "--", "-tAqc", query]);
        ran.stdout.trim().to_owned()
    }

    /// Every file and folder with the time it was changed.
    pub fn files(&self) -> BTreeMap<String, std::time::SystemTime> {
        fn walk(dir: &Path, files: &mut BTreeMap<String, std::time::SystemTime>) {
            for entry in dir.read_dir().expect("a folder") {
                let path = entry.expect("an entry").path();
                let metadata = path.symlink_metadata().expect("metadata");
                let changed = metadata.modified().expect("a time");
                files.insert(path.display().to_string(), changed);
                if metadata.is_dir() {
                    walk(&path, files);
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(self.path(), &mut files);
        files
    }

    pub fn git(&self, args: &[&str]) {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@example.com"];
        let output = Command::new("git")
            .args(identity)
            .args(args)
            .current_dir(self.path())
            .output()
            .expect("git");
        assert!(output.status.success(), "git {args:?}: {output:?}");
    }

    /// A worktree of this repository, in a folder of its own.
    pub fn worktree(&self, branch: &str) -> Project {
        let dir = tempfile::Builder::new()
            .prefix("devenv-test-")
            .tempdir()
            .expect("a temporary folder");
        let path = dir.path().join("tree").display().to_string();
        self.git(&["worktree", "add", "-q", "-b", branch, &path]);
        Project::at(dir, "tree")
    }
}
