//! Finds out which files a Python package and all it needs consist of, for every platform, through pip's own resolver.
//!
//! pip's report is described at <https://pip.pypa.io/en/stable/reference/installation-report/>.

use std::{collections::BTreeMap, fs};

use futures_util::future::try_join_all;
use serde::Deserialize;

use super::{
    Job, Run, ToolchainError,
    pip::{environment, pip},
    store::{Build, ContentStore},
};
use crate::{
    config::ToolSource,
    lockfile::{Pinned, ToolRow},
};

/// Wheel tags of each platform. The one that runs on most machines comes first, as pip takes the first that there is.
const PLATFORMS: [&[&str]; 6] = [
    &[
        "manylinux2014_x86_64",
        "manylinux_2_17_x86_64",
        "manylinux_2_28_x86_64",
        "manylinux_2_34_x86_64",
        "linux_x86_64",
    ],
    &[
        "manylinux2014_aarch64",
        "manylinux_2_17_aarch64",
        "manylinux_2_28_aarch64",
        "manylinux_2_34_aarch64",
        "linux_aarch64",
    ],
    &["musllinux_1_1_x86_64", "musllinux_1_2_x86_64"],
    &["musllinux_1_1_aarch64", "musllinux_1_2_aarch64"],
    &[
        "macosx_10_13_x86_64",
        "macosx_11_0_x86_64",
        "macosx_13_0_x86_64",
        "macosx_15_0_x86_64",
    ],
    &[
        "macosx_11_0_arm64",
        "macosx_13_0_arm64",
        "macosx_15_0_arm64",
    ],
];

/// Fixed, so that the lock does not depend on who makes it.
const PYTHON: &str = "3.12";
/// Asked for as well when a package has files for single versions of Python.
const PYTHONS: [&str; 5] = ["3.9", "3.10", "3.11", "3.13", "3.14"];

#[derive(Debug, Deserialize)]
struct Report {
    install: Vec<Item>,
}

#[derive(Debug, Deserialize)]
struct Item {
    metadata: Metadata,
    download_info: Download,
}

#[derive(Debug, Deserialize)]
struct Metadata {
    name: String,
    version: String,
}

#[derive(Debug, Deserialize)]
struct Download {
    url: String,
    #[serde(default)]
    archive_info: ArchiveInfo,
}

#[derive(Debug, Default, Deserialize)]
struct ArchiveInfo {
    #[serde(default)]
    hashes: BTreeMap<String, String>,
}

/// One file of a distribution.
struct Wheel {
    /// Normal name of the distribution.
    of: String,
    version: String,
    file: String,
    sha256: String,
}

/// Names are the same when only case, `-`, `_` and `.` differ; extras are no part of it.
pub fn normal(name: &str) -> String {
    let name = name.split('[').next().unwrap_or(name).trim();
    name.to_lowercase()
        .split(['-', '_', '.'])
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("-")
}

pub async fn resolve(job: &Job, run: &Run<'_>) -> Result<ToolRow, ToolchainError> {
    let package = job.package();
    let wanted = match &job.tool.version {
        Some(version) => format!("{package}=={version}"),
        None => package.to_owned(),
    };
    run.events.message(format!("Looking up {wanted}"));
    let key = ContentStore::key(&["pip look-up", &wanted]);
    let scratch = ContentStore::open()?.build(&key, run, |_| false).await?;
    let scratch = scratch.expect("no entry is ever good enough");
    environment(job, run, &scratch).await?;
    let here = report(
        job,
        run,
        &scratch,
        "here",
        &[],
        std::slice::from_ref(&wanted),
    )
    .await?;
    let pins: BTreeMap<String, String> = here
        .iter()
        .map(|wheel| (wheel.of.clone(), wheel.version.clone()))
        .collect();
    let mut requires = everywhere(job, run, &scratch, &pins).await?;
    for wheel in here {
        // Only a source archive: the same for all platforms.
        if let Some(pinned) = requires.get_mut(&wheel.of)
            && pinned.files.is_empty()
        {
            pinned.files.insert(wheel.file, wheel.sha256);
        }
    }
    let mut row = ToolRow::new(ToolSource::Pip);
    row.package = Some(package.to_owned());
    row.spec = job.tool.version.clone();
    row.version = pins.get(&normal(package)).cloned();
    row.requires = requires;
    Ok(row)
}

/// The files of all platforms.
async fn everywhere(
    job: &Job,
    run: &Run<'_>,
    scratch: &Build,
    pins: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, Pinned>, ToolchainError> {
    let mut requires: BTreeMap<String, Pinned> = pins
        .iter()
        .map(|(name, version)| {
            let pinned = Pinned {
                version: version.clone(),
                files: BTreeMap::new(),
            };
            (name.clone(), pinned)
        })
        .collect();
    let all = PLATFORMS
        .iter()
        .map(|tags| wheels(job, run, scratch, tags, PYTHON, pins));
    let mut wheels_found: Vec<Wheel> = try_join_all(all).await?.into_iter().flatten().collect();
    let single: BTreeMap<String, String> = wheels_found
        .iter()
        .filter(|wheel| is_for_one_python(&wheel.file))
        .map(|wheel| (wheel.of.clone(), wheel.version.clone()))
        .collect();
    if !single.is_empty() {
        for python in PYTHONS {
            let all = PLATFORMS
                .iter()
                .map(|tags| wheels(job, run, scratch, tags, python, &single));
            wheels_found.extend(try_join_all(all).await?.into_iter().flatten());
        }
    }
    for wheel in wheels_found {
        if let Some(pinned) = requires.get_mut(&wheel.of) {
            pinned.files.insert(wheel.file, wheel.sha256);
        }
    }
    Ok(requires)
}

/// `name-1.0-cp312-cp312-manylinux….whl`: the third part from the end is the Python, the second its ABI.
fn is_for_one_python(file: &str) -> bool {
    let mut parts = file.trim_end_matches(".whl").rsplit('-').skip(1);
    let (abi, python) = (parts.next(), parts.next());
    abi != Some("abi3") && python.is_some_and(|python| !python.contains("py3"))
}

/// The files of one platform: asked for all at once, and one by one when not every package has one.
async fn wheels(
    job: &Job,
    run: &Run<'_>,
    scratch: &Build,
    tags: &[&str],
    python: &str,
    pins: &BTreeMap<String, String>,
) -> Result<Vec<Wheel>, ToolchainError> {
    let target = scratch.dir().join("none").display().to_string();
    let mut options = vec!["--no-deps", "--only-binary=:all:", "--target", &target];
    options.extend(["--implementation", "cp", "--python-version", python]);
    options.extend(tags.iter().flat_map(|tag| ["--platform", tag]));
    let wanted: Vec<_> = pins
        .iter()
        .map(|(name, version)| format!("{name}=={version}"))
        .collect();
    let name = format!("{}-{python}", tags[0]);
    match report(job, run, scratch, &name, &options, &wanted).await {
        Err(ToolchainError::Command { .. }) => {}
        result => return result,
    }
    let mut found = Vec::new();
    if wanted.len() > 1 {
        for one in &wanted {
            match report(
                job,
                run,
                scratch,
                &name,
                &options,
                std::slice::from_ref(one),
            )
            .await
            {
                Ok(wheels) => found.extend(wheels),
                Err(ToolchainError::Command { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(found)
}

/// What pip would install.
async fn report(
    job: &Job,
    run: &Run<'_>,
    scratch: &Build,
    name: &str,
    options: &[&str],
    wanted: &[String],
) -> Result<Vec<Wheel>, ToolchainError> {
    let path = scratch.dir().join(format!("{name}.json"));
    let file = path.display().to_string();
    let mut args = vec!["install", "--quiet", "--dry-run", "--ignore-installed"];
    args.extend(["--report", file.as_str()]);
    args.extend(options);
    args.extend(wanted.iter().map(String::as_str));
    let spawn = pip(job, scratch, &args);
    job.run(&spawn, run).await?;
    let unread = |message: String| ToolchainError::Report {
        tool: job.name.clone(),
        command: spawn.display(),
        message,
    };
    let bytes = fs::read(&path).map_err(|error| unread(error.to_string()))?;
    let report: Report =
        serde_json::from_slice(&bytes).map_err(|error| unread(error.to_string()))?;
    report
        .install
        .into_iter()
        .map(|item| {
            let url = item.download_info.url;
            let sha256 = item.download_info.archive_info.hashes.get("sha256");
            Ok(Wheel {
                of: normal(&item.metadata.name),
                sha256: sha256
                    .ok_or_else(|| unread(format!("`{}` has no sha256", item.metadata.name)))?
                    .clone(),
                version: item.metadata.version,
                file: url.rsplit('/').next().unwrap_or(&url).to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_wheels() {
        assert_eq!(normal("Buf_Bin"), "buf-bin");
        assert_eq!(normal("black[d]"), "black");
        assert_eq!(normal("ruamel..yaml"), "ruamel-yaml");
        assert!(is_for_one_python(
            "x-1.0-cp312-cp312-manylinux2014_x86_64.whl"
        ));
        assert!(!is_for_one_python(
            "x-1.0-cp38-abi3-manylinux2014_x86_64.whl"
        ));
        assert!(!is_for_one_python("x-1.0-py2.py3-none-any.whl"));
        assert!(!is_for_one_python(
            "buf_bin-1.75.0-py3-none-macosx_11_0_arm64.whl"
        ));
    }
}
