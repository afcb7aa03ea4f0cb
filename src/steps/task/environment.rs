//! What a command of the file sees of the caller's environment.

use std::ffi::OsString;

/// Which variables of the caller a command is given, beside those that the file declares.
#[derive(Debug, Clone, Copy)]
pub(in crate::steps) enum Sees<'a> {
    /// All: what it does is not kept by what it depended on.
    All,
    /// Those that the file names, and those that tools need to work at all.
    Only(&'a [String]),
}

/// Where things are, who asks, how output looks and how the network is reached: a sound command makes the same with any of them.
const TOOLS_NEED: [&str; 50] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "HOSTNAME",
    "LANG",
    "LANGUAGE",
    "TERM",
    "TERMINFO",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "CLICOLOR",
    "CLICOLOR_FORCE",
    "COLUMNS",
    "LINES",
    "TMPDIR",
    "TMP",
    "TEMP",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "RUSTUP_HOME",
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_JOBS",
    "RUSTC_WRAPPER",
    "GOPATH",
    "GOCACHE",
    "GOMODCACHE",
    "GOPROXY",
    "GONOSUMDB",
    "GOPRIVATE",
    "SSH_AUTH_SOCK",
    "SSH_AGENT_PID",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NIX_SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "NODE_EXTRA_CA_CERTS",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "MAKEFLAGS",
];

/// They choose the tool, so who sees them depends on them, as on what is passed.
pub const CHOOSE_TOOLS: [&str; 3] = ["JAVA_HOME", "PKG_CONFIG_PATH", "RUSTUP_TOOLCHAIN"];

/// As [`TOOLS_NEED`], of whole families.
const FAMILIES: [&str; 13] = [
    "LC_",
    "XDG_",
    "CARGO_TERM_",
    "CARGO_NET_",
    "CARGO_HTTP_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "SCCACHE_",
    "CCACHE_",
    "DOCKER_",
    "PIP_",
    "UV_",
    "npm_config_",
];

/// Variables that Cargo gives to the program it runs. A command started from `cargo run` must do the same as one started from a shell.
const CARGO_RUN_VARIABLES: [&str; 3] = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_"];

impl Sees<'_> {
    /// Variables of this process that the command must not get.
    pub(super) fn hidden(self) -> Vec<OsString> {
        let names = std::env::vars_os().map(|(name, _)| name);
        names
            .filter(|name| {
                let name = name.to_str();
                name.is_none_or(is_of_cargo_run) || !name.is_some_and(|name| self.shows(name))
            })
            .collect()
    }

    fn shows(self, name: &str) -> bool {
        match self {
            Sees::All => true,
            Sees::Only(passed) => passed.iter().any(|passed| passed == name) || tools_need(name),
        }
    }
}

fn tools_need(name: &str) -> bool {
    let known = TOOLS_NEED.contains(&name) || CHOOSE_TOOLS.contains(&name);
    known || FAMILIES.iter().any(|family| name.starts_with(family))
}

fn is_of_cargo_run(name: &str) -> bool {
    let mut families = CARGO_RUN_VARIABLES.iter();
    name == "CARGO" || families.any(|prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_sees_little_sees_what_tools_need_and_what_is_passed() {
        let passed = ["AWS_PROFILE".to_owned()];
        for shown in [
            "PATH",
            "LC_ALL",
            "CARGO_TERM_COLOR",
            "AWS_PROFILE",
            "DOCKER_HOST",
        ] {
            assert!(Sees::Only(&passed).shows(shown), "{shown}");
        }
        for hidden in ["CI", "GITHUB_SHA", "AWS_PROFILE_2", "RUSTFLAGS", "TZ"] {
            assert!(!Sees::Only(&passed).shows(hidden), "{hidden}");
            assert!(Sees::All.shows(hidden), "{hidden}");
        }
        assert!(is_of_cargo_run("CARGO_PKG_NAME") && !is_of_cargo_run("CARGO_HOME"));
    }
}
