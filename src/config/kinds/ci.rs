use std::time::Duration;

use serde::Serialize;

use crate::config::{
    StepId,
    decode::{InsidePath, Minutes, NotEmpty, Text, record},
    duration,
};

record! {
    /// `[ci]`: what `devenv ci` runs, and the files that make a CI service run it.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct Ci {
        /// Steps that `devenv ci` runs beside those of `up`, lints, smoke requests and CI files: the tasks that are for CI.
        pub run: Vec<StepId>,
        /// A workflow of GitHub Actions, written by `devenv ci generate github`.
        pub github: Option<Github>,
        /// A pipeline of GitLab CI, written by `devenv ci generate gitlab`.
        pub gitlab: Option<Gitlab>,
    }
}

record! {
    /// The workflow for GitHub Actions, and one more that deploys when there is a `[remote.*]`.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Github {
        /// The workflow's file. Of a project in a folder of its repository it is at the top all the same, with the project's name before its end.
        pub file: String as Text<InsidePath> = ".github/workflows/devenv.yml",
        /// File of the workflow that deploys, at the same place.
        pub deploy_file: String as Text<InsidePath> = ".github/workflows/devenv-deploy.yml",
        /// Label of the runner.
        pub runs_on: String as Text<NotEmpty> = "ubuntu-24.04",
        /// Branches whose pushes are checked; pull requests always are.
        pub branches: Vec<String> as Vec<Text<NotEmpty>> = ["main"],
        /// How long a job may take, in whole minutes.
        #[serde(with = "duration")]
        pub timeout: Duration as Minutes = "45m",
        /// Shell commands that get the runner ready and put `devenv` on its PATH, such as an installation of a version that was built elsewhere. When absent, the runner or its image must have it.
        pub setup: Vec<String> as Vec<Text<NotEmpty>>,
        /// How devenv is called.
        pub command: String as Text<NotEmpty> = "devenv",
    }
}

record! {
    /// The pipeline for GitLab CI, with a job for each `[remote.*]`.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize)]
    pub struct Gitlab {
        /// The pipeline's file. Of a project in a folder of its repository, GitLab reads it only where the pipeline at the top includes it.
        pub file: String as Text<InsidePath> = ".gitlab-ci.yml",
        /// Image that the jobs run in.
        pub image: String as Text<NotEmpty> = "rust:1",
        /// Tags of the runners that take the jobs.
        pub tags: Vec<String> as Vec<Text<NotEmpty>>,
        /// How long a job may take, in whole minutes.
        #[serde(with = "duration")]
        pub timeout: Duration as Minutes = "45m",
        /// Shell commands that get the runner ready and put `devenv` on its PATH, such as an installation of a version that was built elsewhere. When absent, the runner or its image must have it.
        pub setup: Vec<String> as Vec<Text<NotEmpty>>,
        /// How devenv is called.
        pub command: String as Text<NotEmpty> = "devenv",
    }
}
