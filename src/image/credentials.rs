//! Registry credentials, from where `docker login` keeps them.
//!
//! Format: <https://docs.docker.com/reference/cli/docker/login/>: `auths` in config.json, or a `docker-credential-*` program.

use std::{ffi::OsString, fs, path::PathBuf};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bollard::auth::DockerCredentials;
use serde_json::Value;

use crate::{plan::dockerfile::reference::DEFAULT_REGISTRY, sys::process::Spawn};

/// The name under which the default registry's credentials are kept.
const DEFAULT_KEY: &str = "https://index.docker.io/v1/";

/// What this machine knows for the registry; `None` pulls anonymously.
pub(super) async fn find(registry: &str) -> Option<DockerCredentials> {
    let config: Value = serde_json::from_slice(&fs::read(config_file()?).ok()?).ok()?;
    let key = if registry == DEFAULT_REGISTRY {
        DEFAULT_KEY
    } else {
        registry
    };
    let helper = config["credHelpers"][registry]
        .as_str()
        .or(config["credsStore"].as_str());
    if let Some(helper) = helper
        && let Some(found) = ask(helper, key).await
    {
        return Some(found);
    }
    stored(&config, registry, key)
}

fn config_file() -> Option<PathBuf> {
    let dir = match std::env::var_os("DOCKER_CONFIG") {
        Some(dir) => dir.into(),
        None => etcetera::home_dir().ok()?.join(".docker"),
    };
    Some(dir.join("config.json"))
}

/// `docker-credential-<helper> get`: the server on stdin, JSON on stdout.
async fn ask(helper: &str, server: &str) -> Option<DockerCredentials> {
    let program = format!("docker-credential-{helper}");
    let mut spawn = Spawn::new(["sh", "-c", "printf %s \"$SERVER\" | \"$HELPER\" get"]);
    spawn.env = [("SERVER", server), ("HELPER", &program)]
        .map(|(name, value)| (name.to_owned(), OsString::from(value)))
        .into();
    let output = spawn.output().await.ok()?;
    let answer: Value = serde_json::from_slice(&output.stdout).ok()?;
    let secret = answer["Secret"].as_str()?;
    let user = answer["Username"].as_str()?;
    Some(if user == "<token>" {
        DockerCredentials {
            identitytoken: Some(secret.into()),
            serveraddress: Some(server.into()),
            ..DockerCredentials::default()
        }
    } else {
        password(user, secret, server)
    })
}

fn stored(config: &Value, registry: &str, key: &str) -> Option<DockerCredentials> {
    let auths = config["auths"].as_object()?;
    let entry = auths.get(key).or_else(|| {
        let host = |name: &str| {
            let name = name.trim_start_matches("https://");
            name.trim_start_matches("http://")
                .split('/')
                .next()
                .map(str::to_owned)
        };
        let same = |name: &&String| host(name).as_deref() == Some(registry);
        auths.keys().find(same).map(|name| &auths[name])
    })?;
    if let Some(token) = entry["identitytoken"].as_str() {
        return Some(DockerCredentials {
            identitytoken: Some(token.into()),
            serveraddress: Some(key.into()),
            ..DockerCredentials::default()
        });
    }
    let plain = STANDARD.decode(entry["auth"].as_str()?).ok()?;
    let plain = String::from_utf8(plain).ok()?;
    let (user, secret) = plain.split_once(':')?;
    Some(password(user, secret.trim_end_matches('\0'), key))
}

fn password(user: &str, secret: &str, server: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(user.into()),
        password: Some(secret.into()),
        serveraddress: Some(server.into()),
        ..DockerCredentials::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reads_what_docker_login_wrote() {
        let config = json!({ "auths": {
            "reg.test:5000": { "auth": STANDARD.encode("me:pa:ss") },
            "https://old.test/v1/": { "auth": STANDARD.encode("old:x") },
        }});
        let found = stored(&config, "reg.test:5000", "reg.test:5000").unwrap();
        assert_eq!(found.username.as_deref(), Some("me"));
        assert_eq!(found.password.as_deref(), Some("pa:ss"));
        let found = stored(&config, "old.test", "old.test").unwrap();
        assert_eq!(found.username.as_deref(), Some("old"));
        assert_eq!(stored(&config, "none.test", "none.test"), None);
    }
}
